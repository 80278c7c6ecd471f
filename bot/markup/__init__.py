"""Texts between three markups: Jira's two (wiki and ADF) come in as Markdown; Markdown goes out to Slack and to Jira.

Pure. In, for texts from outside::

    from_body(body)       a wiki string or an ADF object, whichever Jira sent → tidy Markdown
    from_wiki, from_adf   the same one by one, not tidied
    addresses_in(text)    what may be linked to in an answer to this text

Out, for texts that a person decides about::

    render(markdown, Known(…)) → Rendered: .slack() .adf() .plain() .warnings

`render` builds one tree (`tree.py`) and both outputs from it, so that what the card shows is what is posted.
Read next: `parse.py` (Markdown → tree, by `blocks.py` and `inlines.py`), `address.py` (what may be a link),
`to_adf.py` and `to_slack.py` (tree → output), `adf_schema.py` (`check_adf`), `wiki.py` and `from_adf.py` (the way in),
`escape.py` (text that must stay text).
"""

from collections.abc import Mapping
from itertools import islice

from bot.markup.adf_schema import check_adf
from bot.markup.from_adf import from_adf
from bot.markup.rendering import Known, Rendered, addresses_in, render
from bot.markup.wiki import from_wiki
from bot.safety import tidy, tidy_part

__all__ = [
    "Known", "Rendered", "addresses_in", "check_adf", "from_adf", "from_body", "from_wiki", "render",
]  # fmt: skip


MAX_TEXT = 32_767
"""Characters of one text that are read: as many as Jira takes. What is longer was not written in Jira."""
MAX_VALUES = 40_000
"""Values of one document that are looked at: texts, attributes, marks and nodes."""
CUT = f"*(The text was cut here: PM Agent reads {MAX_TEXT:,} characters of it.)*"


def from_body(body: str | Mapping[str, object] | None) -> str:
    """A Jira text as tidy Markdown, whichever way Jira sent it; "" for nothing and for what is no text at all.

    Tidied before as well as after: an escape or a mark that the conversion writes must not hide half a secret. A text
    over `MAX_TEXT` is cut before anything is done with it, and says so: what takes time is never larger.
    """
    if isinstance(body, str):
        return _ended(tidy(from_wiki(tidy(body[:MAX_TEXT]))), cut=len(body) > MAX_TEXT)
    if not isinstance(body, Mapping):
        return ""
    bounded = _Bounded()
    return _ended(tidy(from_adf(bounded.tidied(body, 0))), cut=bounded.cut)


def _ended(text: str, *, cut: bool) -> str:
    return f"{text}\n\n{CUT}" if cut else text


class _Bounded:
    """Reads an ADF value with every string in it tidied, each a part of the whole; `cut`: some of it was left out.

    Deeper than a document, nothing stays. The names of nodes and their attributes are bounded apart from the words, so
    that a text which Jira took is never cut for what stands around it.
    """

    def __init__(self) -> None:
        self.cut = False
        self._left = {True: MAX_TEXT, False: 8 * MAX_TEXT}  # words; everything else
        self._values = MAX_VALUES

    def tidied(self, value: object, depth: int, *, words: bool = False) -> object:
        self._values -= 1
        if self._values < 0:
            self.cut = True
            return None
        if isinstance(value, str):
            return tidy_part(self._as_much(value, words))
        if depth > 100:
            return None
        if isinstance(value, Mapping):
            some = islice(value.items(), self._values + 1)
            return {key: self.tidied(inner, depth + 1, words=key == "text") for key, inner in some}
        if isinstance(value, list):
            return [self.tidied(inner, depth + 1) for inner in islice(value, self._values + 1)]
        return value

    def _as_much(self, text: str, words: bool) -> str:
        """As much of a text as is left to be read."""
        given = text[: self._left[words]]
        self.cut = self.cut or len(given) < len(text)
        self._left[words] -= len(given)
        return given
