"""Private keys: from the line that begins one to the end of all that can be part of it. Pure.

People quote keys, list them, cut them off at either end, and paste them with a log's times before each line. So what
belongs to a key is told by what it looks like, not by where it stands: runs of base64, the headers before them, and the
marks between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_KIND = r"(?:[A-Z0-9]{1,12}[ ]){0,4}PRIVATE[ ]KEY(?:[ ]BLOCK)?"
_BEGIN = re.compile(
    rf"-{{3,5}}[ ]?BEGIN[ ]{_KIND}[ ]?-{{3,5}} | PuTTY-User-Key-File-\d: | \$ANSIBLE_VAULT;[\d.]{{1,6}};\w{{1,12}}",
    re.VERBOSE,
)
_END = re.compile(
    rf"-{{3,5}}[ ]?END[ ]{_KIND}[ ]?-{{3,5}} | Private-(?:MAC|Hash):[ ]?[0-9a-f]{{16,64}}",
    re.VERBOSE,
)

KEY_LITERALS = ("private key", "putty-user", "private-mac", "private-hash", "$ansible_vault")
"""In lower case, what stands in every text that holds a key."""

_BETWEEN = r"(?:\\[nrt]|[^A-Za-z0-9+/=\\\n]|\\(?![nrt]))"  # marks of quotations, lists, tables, strings
_RUN = r"[A-Za-z0-9+/=]{16,}+"
_NUMBER = r"(?:\d{1,3}[.)][ ]{0,3})?"  # of a list's item
_HEADER = rf"{_BETWEEN}{{0,12}}{_NUMBER}(?:\\n)?[A-Z][A-Za-z-]{{2,24}}:[ ][^\n\\]{{1,120}}"
_PREFIX = r"(?:[^a-z\n]{0,40}[ ])?"  # a log's time and level, a list's number
# Each alternative begins at another character, or ends at a line's end, so that no place is tried twice over.
_BODY = re.compile(
    rf"""(?: {_BETWEEN}{{0,40}}+ {_RUN} | \n{_HEADER}(?=\n|\\n) | \n{_BETWEEN}{{0,12}} {_PREFIX} {_RUN}
           | \n[^\w\n]{{0,12}}{_NUMBER}[^\w\n]{{0,40}}(?=\n) | \s{{1,8}}+ {_RUN} )*+
         (?: [^A-Za-z0-9+/=]{{0,8}} =[A-Za-z0-9+/]{{4}}(?![A-Za-z0-9])
           | [^A-Za-z0-9+/=]{{0,8}} [A-Za-z0-9+/]{{1,15}}={{1,2}} )?""",
    re.VERBOSE,
)
_LAST_LINES = re.compile(
    rf"""(?: (?:{_BETWEEN}|\n){{0,40}}+ {_RUN} )++ (?: [^A-Za-z0-9+/=]{{0,8}} [A-Za-z0-9+/]{{1,15}}={{0,2}} )?
         [^A-Za-z0-9]{{0,40}} \Z""",
    re.VERBOSE,
)
_NOT_OF_IT = " \t\n>|*-"
_REACH = 8_000  # characters before an END that may be its key's: a key of 16,384 bits is longer, people's are not


def private_keys(words: str, places: Sequence[int], *, part: bool = False) -> Iterator[tuple[int, int]]:
    """Where private keys stand, whole or cut off at either end; `places` are those of `KEY_LITERALS`.

    `part`: the words go on elsewhere, so a key without its end is left for whoever has the whole.
    """
    begins = list(_around(_BEGIN, words, places))
    ends = list(_around(_END, words, places))
    done = number = 0
    for start, after in begins:
        if start < done:
            continue
        while number < len(ends) and ends[number][0] < after:
            number += 1
        if number == len(ends) and part:
            return
        if number < len(ends):
            done = ends[number][1]
        elif body := _BODY.match(words, after):
            done = after + len(body[0].rstrip(_NOT_OF_IT))
        yield start, done
    if part:
        return
    # An END that no BEGIN stands before.
    firsts = iter([*begins, (len(words), 0)])
    begin, before = next(firsts)[0], 0
    for at, stop in ends:
        if at < begin:
            body = _LAST_LINES.search(words, max(before, at - _REACH), at)
            yield (body.start() if body else at), stop
        while begin < stop:
            begin = next(firsts)[0]
        before = stop


def _around(pattern: re.Pattern[str], words: str, places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where the line that begins or ends a key stands, of which a sign stands at one of the places."""
    done = 0
    for place in places:
        if found := pattern.search(words, max(done, place - 80), place + 100):
            yield found.span()
            done = found.end()
