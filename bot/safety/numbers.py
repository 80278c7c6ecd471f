"""Card numbers (checked by Luhn's digit) and IBANs (checked modulo 97). Pure.

A library for them costs 150 ms and 11 MB to import; the two checks are four lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CARD = re.compile(
    r"[2-6]\d\d\d(?:[ ]\d{4}[ ]\d{4}[ ]\d{4}|-\d{4}-\d{4}-\d{4}|\d{10,12}|[ ]\d{6}[ ]\d{4,5}|-\d{6}-\d{4,5})"
    r"(?![\w-]|[.,]\d)"
)
_ISSUED = re.compile(r"(?:4|5[1-5]|2[2-7]|35|6011|65|64[4-9]|62)[\d -]{14,}|3[47][\d -]{13,15}$|3[0689][\d -]{12,14}$")
"""How the numbers of the large issuers begin, and how long they are."""
_IBAN = re.compile(r"[A-Z][A-Z]\d\d(?:[ ]?[A-Za-z0-9]{4}){2,7}(?:[ ]?[A-Za-z0-9]{1,3})?(?!\w)")
_INSIDE = re.compile(r"[\w.+/#=-]")  # what stands before a number that is a part of something else
_LENGTHS = {
    15: "NO", 16: "BE", 18: "DK FI FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST", 26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
    29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
}  # fmt: skip
_LENGTH = {country: length for length, countries in _LENGTHS.items() for country in countries.split()}


def numbers(words: str) -> Iterator[tuple[int, int, str]]:
    """Where card numbers and IBANs stand, and which of both."""
    for found in _CARD.finditer(words):
        if not _inside(words, found.start()) and _ISSUED.match(found[0]) and _luhn(found[0]):
            yield *found.span(), "card number"
    for found in _IBAN.finditer(words):
        if _inside(words, found.start()):
            continue
        # Words may follow: the country says how long it is.
        length = _LENGTH.get(found[0][:2], 0)
        end = found.start()
        for char in found[0]:
            end += 1
            length -= char != " "
            if not length:
                break
        if not length and not words[end : end + 1].isalnum() and _mod_97(words[found.start() : end]):
            yield found.start(), end, "IBAN"


def _inside(words: str, at: int) -> bool:
    return at > 0 and bool(_INSIDE.match(words, at - 1))


def _luhn(number: str) -> bool:
    digits = [int(char) for char in reversed(number) if char.isdigit()]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def _mod_97(iban: str) -> bool:
    iban = iban.replace(" ", "")
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1
