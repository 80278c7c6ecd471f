"""Texts between three markups: Jira's two (wiki and ADF) come in as Markdown; Markdown goes out to Slack and to Jira.

Pure. In, for texts from outside::

    from_body(body)       a wiki string or an ADF object, whichever Jira sent → tidy Markdown
    from_wiki, from_adf   the same one by one, not tidied
    addresses_in(text)    what may be linked to in an answer to this text

Out, for texts that a person decides about::

    render(markdown, Known(…)) → Rendered: .slack() .adf() .plain() .warnings

`render` builds one tree (`tree.py`) and both outputs from it, so that what the card shows is what is posted.
Read next: `parse.py` (Markdown → tree), `address.py` (what may be a link), `adf.py` and `slack.py` (tree → output),
`schema.py` (`check_adf`), `wiki.py` and `from_adf.py` (the way in), `escape.py` (text that must stay text).
"""

from collections.abc import Mapping

from bot.markup.from_adf import from_adf
from bot.markup.rendering import Known, Rendered, addresses_in, render
from bot.markup.schema import check_adf
from bot.markup.wiki import from_wiki
from bot.safety import tidy, tidy_part

__all__ = [
    "Known", "Rendered", "addresses_in", "check_adf", "from_adf", "from_body", "from_wiki", "render",
]  # fmt: skip


def from_body(body: str | Mapping[str, object] | None) -> str:
    """A Jira text as tidy Markdown, whichever way Jira sent it; "" for nothing and for what is no text at all.

    Tidied before as well as after: an escape or a mark that the conversion writes must not hide half a secret.
    """
    if isinstance(body, str):
        return tidy(from_wiki(tidy(body)))
    return tidy(from_adf(_tidy_texts(body, 0))) if isinstance(body, Mapping) else ""


def _tidy_texts(value: object, depth: int) -> object:
    """An ADF value with every string in it tidied, each a part of the whole; deeper than a document, nothing stays."""
    if isinstance(value, str):
        return tidy_part(value)
    if depth > 100:
        return None
    if isinstance(value, Mapping):
        return {key: _tidy_texts(inner, depth + 1) for key, inner in value.items()}
    return [_tidy_texts(inner, depth + 1) for inner in value] if isinstance(value, list) else value
