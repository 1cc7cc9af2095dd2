"""Names and texts of people, as a terminal may show them: nothing in them moves the cursor or turns the line around."""

import json


def printable(text: str) -> str:
    """`text` with a replacement character for each that is none to be seen, such as an escape or a line break."""
    return text if text.isprintable() else "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def printable_json(text: str) -> str:
    """The same JSON with such characters written as escapes."""
    return "".join(sign if sign.isprintable() else json.dumps(sign)[1:-1] for sign in text)
