"""People's contact data in texts: e-mail addresses, phone and card numbers, found and replaced."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
from stdnum import luhn

from rlhf_assets.errors import RlhfError

JSON_TEXTS = ("context", "steps_before")  # a list of turns, a list of steps
SAID = ("query", "response", *JSON_TEXTS)
OPERATORS_OWN = ("system_prompt",)  # an address there stands in every row: no reason to refuse them all

BETWEEN_DIGITS = r"[^A-Za-z0-9,:;%$\n]{0,4}"
OTHER_DIGITS = r"[\x{660}-\x{669}\x{6f0}-\x{6f9}\x{966}-\x{96f}\x{9e6}-\x{9ef}\x{ff10}-\x{ff19}]"
ABROAD = 7  # digits at least in a number with +
SHORTEST_CARD = 13

EMAIL = re.compile(r"(?<![\w.+%'-])[\w.+%'-]+@(?:[\w-]+\.)+(?:xn--[\w-]+|[^\W\d_]{2,})(?![\w-])")
CARD = re.compile(r"(?<![\w.,+-])(?:[0-9][ -]?){12,18}[0-9](?![\w-]|[.,]\d)")
ISSUED = re.compile(  # Visa, Mastercard, American Express, Diners Club, Discover, JCB, UnionPay
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35\d{14}|62\d{14,17}"
)
URL = re.compile(r"\b(?:https?://|www\.)\S+")
CALLED = re.compile(r"\b(?:call|cell|dial|fax|mobile|phone|sms|tel|text|whatsapp)\b[^.\n]{0,20}$", re.IGNORECASE)

Span = tuple[int, int, str]  # from, to (exclusive), what stands there


class PersonalData:
    """Looks for personal data, in each distinct text once: what was found is remembered by the text's hash."""

    def __init__(self, phone_regions: list[str]) -> None:
        self.regions: list[str | None] = [*phone_regions] or [None]
        self.pattern = worth_a_look(min([SHORTEST_CARD, *map(shortest_phone, phone_regions)]))
        self.known: dict[bytes, tuple[Span, ...]] = {}

    def held_by(self, rows: pd.DataFrame) -> pd.Series:
        """Whether each row has personal data in its query, response, context or steps before."""
        held = pd.Series(False, index=rows.index)
        for column, redacted in self.columns(SAID):
            texts = self.suspicious(rows[column])
            held |= (texts.map(redacted) != texts).reindex(rows.index, fill_value=False)
        return held

    def redacted(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with placeholders where the same texts hold personal data."""
        changed = {}
        for column, redacted in self.columns(SAID + OPERATORS_OWN):
            texts = self.suspicious(rows[column])
            if len(texts):
                changed[column] = rows[column].copy()
                changed[column][texts.index] = texts.map(redacted)
        return rows.assign(**changed)

    def suspicious(self, texts: pd.Series) -> pd.Series:
        """The texts that are worth a look; most are not, and cost next to nothing."""
        seen = pc.match_substring_regex(pa.array(texts, pa.large_string()), self.pattern).fill_null(False)
        return texts[seen.to_numpy(zero_copy_only=False)]

    def columns(self, names: tuple[str, ...]) -> Iterator[tuple[str, Callable[[str], str]]]:
        return ((name, self.redacted_json if name in JSON_TEXTS else self.redacted_text) for name in names)

    def redacted_text(self, text: str) -> str:
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        if digest not in self.known:
            self.known[digest] = tuple(self.look(text))
        pieces, place = [], 0
        for start, end, what in self.known[digest]:
            pieces += [text[place:start], f"<{what}>"]
            place = end
        return "".join((*pieces, text[place:]))

    def redacted_json(self, text: str) -> str:
        """The same in the strings of a JSON list; JSON without personal data stays as it was written."""
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):  # written by nobody we know; still somebody's text
            return self.redacted_text(text)
        if not isinstance(items, list):
            return self.redacted_text(text)
        without = [self.redacted_item(item) for item in items]
        return text if without == items else json.dumps(without, ensure_ascii=False)

    def redacted_item(self, item: object) -> object:
        if isinstance(item, str):
            return self.redacted_text(item)
        if isinstance(item, dict):
            return {
                name: self.redacted_text(value) if isinstance(value, str) else value for name, value in item.items()
            }
        return item

    def look(self, text: str) -> Iterator[Span]:
        """What stands where, in the order of the text, without overlap: what begins first wins, then what is longer."""
        found = [(*match.span(), "EMAIL") for match in EMAIL.finditer(text)]
        found += [(*match.span(), "CARD") for match in CARD.finditer(text) if is_card(match[0])]
        found += [(*span, "PHONE") for region in self.regions for span in phones(text, region)]
        # digits of a link are the number of a page or a picture; an address in it is somebody's all the same
        found += [(*match.span(), "") for match in URL.finditer(text)]
        place = within = 0
        for start, end, what in sorted(found, key=lambda span: (span[0], -span[1])):
            if not what:
                within = end
            elif start >= place and (what == "EMAIL" or start >= within):
                place = end
                yield start, end, what


def worth_a_look(digits: int) -> str:
    """RE2 for what a text must hold: an @, a number with +, one of so many digits, or another script's digit."""
    abroad, at_home = (f"[0-9](?:{BETWEEN_DIGITS}[0-9]){{{count - 1}}}" for count in (ABROAD, digits))
    return rf"@|\+{BETWEEN_DIGITS}{abroad}|{at_home}|{OTHER_DIGITS}"


def shortest_phone(region: str) -> int:
    """Digits of the country's shortest phone number, area code included. Raises RlhfError for no country."""
    metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if metadata is None:
        raise RlhfError(f"phone_regions: there is no country {region!r}; write ISO codes such as US or GB")
    return min(metadata.general_desc.possible_length)


def is_card(text: str) -> bool:
    digits = text.replace(" ", "").replace("-", "")
    return bool(ISSUED.fullmatch(digits)) and luhn.is_valid(digits)


def phones(text: str, region: str | None) -> Iterator[tuple[int, int]]:
    """Where valid phone numbers stand; ten digits in a row may be any number, unless the text says to call it."""
    for match in phonenumbers.PhoneNumberMatcher(text, region, leniency=phonenumbers.Leniency.STRICT_GROUPING):
        if not match.raw_string.isdigit() or CALLED.search(text, max(0, match.start - 30), match.start):
            yield match.start, match.end
