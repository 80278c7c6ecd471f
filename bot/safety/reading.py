"""What a reader sees of a text with marks in it, and where in the text it stands. Pure.

`**Pass**word：` is read as `Password:`. Secrets are searched in what is read, and replaced where it stands, marks
included. What is read is a little shorter than the text, never longer by more than a character's compatible spelling.
"""

from __future__ import annotations

import html
import re
import unicodedata
from bisect import bisect_right
from typing import NamedTuple

_MARK = re.compile(
    r"""
      \\ (?P<escaped> [!-/:-@\[-`{-~] )
    | (?P<mark>
          (?: `{3,} | ~{3,} ) [^`\n]{0,80} $
        | \*{1,3} (?= [^\s*] ) | (?<= [^\s*] ) \*{1,3} (?! \* )
        | ~~ | `+
        | </? (?i: [abisuq] | em | strong | del | ins | code | span | font | su[bp] | mark | kbd | small | big | tt )
              (?: [ ] [^<>\n]{0,200} )? >
        | <!-- \s{0,9} -->
        | \{(?:color|noformat|quote|code)(?::[^{}\n]{0,60})?\}  # wiki markup that nobody converted
        | \{\{ (?= [^\s{}]{0,200}? \d [^\s{}]{0,200} \}\} ) | (?<= [^\s{}] ) \}\}
      )
    | (?P<opening> (?<! \w ) _{1,3} (?= [^\s_] [^\n]{0,300}? _ (?! \w ) ) )
    | (?P<closing> (?<= [^\s_] ) _{1,3} (?! \w ) )
    | (?P<person> \[~accountid:[\w:-]{1,128}\] (?: \(@[^()\n]{0,200}\) )? )
    | (?P<lossy>
          \[ (?= [^\[\]\n]{1,300} \]\( ) | \]\( <? [^()\s<>]{0,2000} >? \)
      )
    | < (?P<border> /? (?i: t[dh] ) ) (?: [ ] [^<>\n]{0,200} )? >
    | </? (?P<block> (?i: br | p | div | tr | li | ul | ol | table | tbody | h[1-6] | pre | blockquote ) )
          (?: [ ] [^<>\n]{0,200} )? /? [ ]? /? >
    | & (?P<entity> \#? \w{2,10} ) ;
    | (?P<wide> [^\x00-\x7f]+ )
    """,
    re.VERBOSE | re.MULTILINE,
)
_PERHAPS = bytes(chr(byte) in "\\*_~`<&{}[]?" for byte in range(256))
"""What every mark begins with, as a table of bytes: found in a tenth of the time. `?` stands for what is not ASCII."""
_EMOJI = re.compile("[\u2600-\u27bf\U0001f000-\U0001faff\ufe0f\u200d]")
_LIKE = {
    **dict.fromkeys("“”„‟«»‹›", '"'), **dict.fromkeys("‘’‚‛", "'"),
    **dict.fromkeys("→➔➜➡⇒⟶⟹👉▶►▸꞉∶", ":"), **dict.fromkeys("‐‑‒–−", "-"), "—": "--", "｜": "|", "│": "|",
}  # fmt: skip
"""Characters that are read as another one, besides those that Unicode says are compatible."""


class VisibleText(NamedTuple):
    """The words as they are read, and where each stands in the text."""

    words: str
    pieces: tuple[tuple[int, int, int, int], ...]
    """Where something was read in another way: (start, end) in the words, (start, end) in the text."""
    lossy: bool
    """Whether something was left out that may be part of a secret: an underscore, a link's address."""
    underscores: bool
    """Whether an underscore was."""
    starts: tuple[int, ...]
    """Where these begin in the words."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where in the text the words from `start` to `end` stand, marks between them included."""
        return self._from(start), self._to(end)

    def _from(self, at: int) -> int:
        """The text's place of the character at `at`; of marks before it, none."""
        number = bisect_right(self.starts, at) - 1
        if number < 0:
            return at
        _, end, first, after = self.pieces[number]
        return first if at < end else after + at - end

    def _to(self, at: int) -> int:
        """The text's place after the character before `at`."""
        number = bisect_right(self.starts, at - 1) - 1
        if number < 0:
            return at
        _, end, _, after = self.pieces[number]
        return after if at <= end else after + at - end


def read(text: str, *, underscores: bool = False) -> VisibleText | None:
    """How `text` is read; None where that is as it stands. `underscores`: read as they are, and not as marks."""
    parts: list[str] = []
    pieces: list[tuple[int, int, int, int]] = []
    lossy = opened = marked = False
    done = behind = length = 0
    begins = text.encode("ascii", "replace").translate(_PERHAPS)
    at = -1
    while (at := begins.find(1, max(at + 1, behind))) >= 0:
        if not (found := _MARK.match(text, at)):
            continue
        if found[0][0] == "_":
            if underscores or (found.lastgroup == "closing" and not opened):
                continue
            opened = found.lastgroup == "opening"
        seen, behind = _seen(found), found.end()
        if seen == found[0]:
            continue
        marked = marked or found[0][0] == "_"
        lossy = lossy or marked or found.lastgroup == "lossy"
        parts += [text[done : found.start()], seen]
        length += found.start() - done
        pieces.append((length, length + len(seen), found.start(), found.end()))
        length += len(seen)
        done = found.end()
    if not pieces:
        return None
    return VisibleText(
        "".join([*parts, text[done:]]), tuple(pieces), lossy, marked, tuple(piece[0] for piece in pieces)
    )


def _seen(found: re.Match[str]) -> str:
    match found.lastgroup:
        case "escaped":
            return found["escaped"]
        case "border":
            return "|"
        case "block":
            return "\n"
        case "person":
            return "somebody"
        case "entity":
            return _plain(html.unescape(found[0]))
        case "wide":
            return _plain(found[0])
        case _:
            return ""


def _plain(text: str) -> str:
    """Characters as those of a keyboard where there are such: full-width and mathematical letters, typeset quotes."""
    return "".join(
        _LIKE.get(char) or (" " if _EMOJI.match(char) else unicodedata.normalize("NFKC", char)) for char in text
    )
