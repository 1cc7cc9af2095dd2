"""The one error a person may see: what is wrong and how to mend it, on one line, without secrets."""


class RlhfError(Exception):
    """Something a person can mend; the command line prints it alone and exits 1."""


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
