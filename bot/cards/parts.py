"""The pieces that messages are made of, and Slack's limits on them.

Limits are from Slack's Block Kit reference. The one on the sum of all blocks of a message is undocumented (about 13,200
characters, containers included, bolt-js#2509 and #2867), so the blocks' whole JSON is held under 13,000.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from bot.domain.drafts import Draft
from bot.safety.quoting import in_marks, shortened, unsigned

Block = dict[str, Any]
MAX_MESSAGE = 13_000


@dataclass(frozen=True)
class Message:
    """A message: `blocks` are what is seen, `text` the notification (our own words), `metadata` finds it again."""

    blocks: list[Block]
    text: str
    metadata: dict[str, Any] | None = None


def size(blocks: Sequence[Block]) -> int:
    """Characters of all blocks together, as counted against `MAX_MESSAGE`."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))


def one_line(value: str, length: int) -> str:
    """The same as one line."""
    return shortened(" ".join(value.split()), length)


def in_quotes(value: str, length: int) -> str:
    """Words of others as one line in quotation marks, where they stand beside words of ours."""
    return in_marks(one_line(value, length))


def named(name: str, length: int = 80) -> str:
    """A name as one line, without signs of ours."""
    return one_line(unsigned(name), length)


# Elements inside rich_text


def text(value: str, *, bold: bool = False, italic: bool = False, code: bool = False) -> Block:
    """A piece of text, shown as it is: mentions, links and markup in it mean nothing."""
    style = {name: True for name, on in (("bold", bold), ("italic", italic), ("code", code)) if on}
    return {"type": "text", "text": value, **({"style": style} if style else {})}


def link(url: str, label: str, *, bold: bool = False) -> Block:
    """A link that we made ourselves."""
    return {"type": "link", "url": url, "text": label, **({"style": {"bold": True}} if bold else {})}


def section(*parts: str | Block) -> Block:
    """One paragraph of a rich_text block. Empty texts, which Slack refuses, are left out."""
    elements = [text(part) if isinstance(part, str) else part for part in parts]
    kept = [e for e in elements if e.get("text") != ""]
    return {"type": "rich_text_section", "elements": kept or [text(" ")]}


def listing(items: Iterable[Sequence[str | Block] | str]) -> Block:
    """A bulleted list; each item is a text or a sequence of parts."""
    return {
        "type": "rich_text_list",
        "style": "bullet",
        "elements": [section(item) if isinstance(item, str) else section(*item) for item in items],
    }


# Blocks


def rich(*elements: Block, block_id: str | None = None) -> Block:
    """A rich_text block of sections, lists and quotes."""
    return {"type": "rich_text", **({"block_id": block_id} if block_id else {}), "elements": list(elements)}


def paragraph(*parts: str | Block) -> Block:
    """A rich_text block of one paragraph; strings become text elements, so foreign text is safe in it."""
    return rich(section(*parts))


def bullets(items: Iterable[Sequence[str | Block] | str]) -> Block:
    """A rich_text block that is one bulleted list."""
    return rich(listing(items))


def quoted(value: str) -> Block:
    """A rich_text_quote of plain text."""
    return {"type": "rich_text_quote", "elements": [text(value or " ")]}


def context(*lines: str) -> Block:
    """Small grey text, plain."""
    kept = [line for line in lines if line.strip()] or [" "]
    return {
        "type": "context",
        "elements": [{"type": "plain_text", "text": shortened(line, 2000), "emoji": False} for line in kept[:10]],
    }


def heading(value: str) -> Block:
    """A large line of text, plain."""
    return {"type": "header", "text": {"type": "plain_text", "text": one_line(value, 150) or " ", "emoji": False}}


DIVIDER: Block = {"type": "divider"}


def button(label: str, action_id: str, value: dict[str, str] | None = None, **more: Any) -> Block:
    """A button; `value` travels with the click as JSON."""
    found: Block = {
        "type": "button",
        "action_id": action_id,
        "text": {"type": "plain_text", "text": label, "emoji": False},
        **more,
    }
    if value is not None:
        found["value"] = json.dumps(value, separators=(",", ":"))
    return found


def buttons(*found: Block) -> Block:
    """A row of buttons."""
    return {"type": "actions", "elements": list(found)}


# Words


def whisper(*parts: str | Block) -> Message:
    """A private answer of one paragraph.

    Its notification is the first line of the words that are a plain sentence: what is quoted (a draft, a comment)
    stands in lines of its own or in elements, and only in the blocks.
    """
    sentence = " ".join(part for part in parts if isinstance(part, str)).strip().split("\n")[0]
    escaped = sentence[:200].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Message([paragraph(*parts)], escaped or "PM Agent answered you privately.")


def key_of(value: str) -> str:
    """An issue's key, where it is one: it stands in notifications, which Slack interprets."""
    return value if re.fullmatch(r"[A-Z][A-Z0-9_]+-\d+", value) else "an issue"


def issue_url(site: str, key: str, comment: str | None = None) -> str:
    """The address that people browse."""
    address = f"{site.rstrip('/')}/browse/{quote(key, safe='-')}"
    return f"{address}?focusedCommentId={quote(comment, safe='')}" if comment else address


def clock(at: datetime, now: datetime, timezone: ZoneInfo) -> str:
    """`at 10:42` today, else `on 20 Nov at 10:42`."""
    local, today = at.astimezone(timezone), now.astimezone(timezone)
    if local.date() == today.date():
        return f"at {local:%H:%M}"
    year = "" if local.year == today.year else f" {local.year}"
    return f"on {local.day} {local:%b}{year} at {local:%H:%M}"


def audience_words(draft: Draft) -> str:
    """Who will see the reply, for people."""
    if draft.audience == "internal":
        return "internal note, the customer does not see it"
    if draft.audience == "restricted":
        limits = draft.visibility
        name = limits and (limits.value or limits.identifier)
        return f"restricted to the {named(limits.type, 20)} {named(name, 60)}" if limits and name else "restricted"
    return "public, the customer will see it" if draft.customer else "public, everybody who sees the issue"


def not_there(words: str) -> str:
    """That these words of a draft stand nowhere in what Claude was given."""
    return f"{in_marks(one_line(words, 100))} is not in the issue"


def first_words(draft: Draft) -> str:
    """What Approve does and who will see the reply, as signs and two words each: the card's first."""
    mode = "🧪 Simulation" if draft.mode == "simulation" else "📮 Production"
    if draft.audience == "internal":
        return f"{mode} · 🔒 Internal note"
    return f"{mode} · 🔒 Restricted reply" if draft.audience == "restricted" else f"{mode} · 🌐 Public reply"


def mode_words(draft: Draft, button_name: str) -> str:
    """What a decision does under the draft's mode."""
    if draft.mode == "simulation":
        return f"Simulation: {button_name} will not post to Jira."
    return f"Production: {button_name} posts to Jira as PM Agent."
