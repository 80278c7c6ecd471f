"""A draft's message, in every state of its life: what is answered, the reply, why, and what a person can do now.

The draft is rendered once, for the card and for Jira (`bot.rules.policy.rendered`), so what is seen is what is posted.
It is never cut. The quoted comment is (a link leads to the rest), and then everything else, where a long draft leaves
little room. What cannot be shown whole (only what an older version drafted) is shown as it was written; nobody can
approve it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.cards.actions import APPROVE, POST_AGAIN, POST_ANYWAY, RETRY
from bot.cards.parts import (
    DIVIDER,
    MAX_MESSAGE,
    Block,
    Message,
    audience_words,
    clock,
    context,
    cut,
    issue_url,
    key_of,
    link,
    one_line,
    paragraph,
    quoted,
    rich,
    section,
    size,
    text,
)
from bot.cards.states import notification, state_blocks
from bot.domain.drafts import Draft, DraftState
from bot.markup import Rendered, render
from bot.rules.policy import known, rendered

S = DraftState
EVENT_TYPE = "pmagent_draft"
"""The type of the message's metadata, whose payload has the `draft_id` by which the card is found again."""
QUOTE = 1000
READ = 4 * QUOTE
"""Characters of what is answered that are looked at for the quotation: marks and addresses are not seen in it."""
CLOSED = frozenset({S.SUPERSEDED, S.EXPIRED})
"""States in which the card shrinks to the issue and one sentence."""
UNDECIDED = frozenset({S.WAITING, S.HELD, S.FAILED, S.UNKNOWN})
APPROVALS = frozenset({APPROVE, RETRY, POST_ANYWAY, POST_AGAIN})
REPLY = "draft"
"""The id of the block that shows the reply."""


def draft_card(draft: Draft, *, site: str, now: datetime, timezone: ZoneInfo, newer_url: str | None = None) -> Message:
    """The message for this draft as it is now.

    `site`: the Jira site people browse. `now` decides whether Undo is still offered. `newer_url`: for a superseded
    draft, the newer card's address in Slack. Its blocks stay within Slack's limits, whatever the issue holds.
    """
    site = site.rstrip("/")
    end = state_blocks(draft, site=site, now=now, timezone=timezone, newer_url=newer_url)
    if draft.state in CLOSED or draft.withheld:
        blocks = [_issue(draft, site), *end]
    else:
        reply = rendered(draft, site)
        for quote_length in (QUOTE, 300, 0):
            blocks = _open_card(draft, reply, end, site, now, timezone, quote_length)
            if size(blocks) <= MAX_MESSAGE:
                break
        for length in (250, 120, 60, 30):
            if size(blocks) > MAX_MESSAGE:
                blocks = [b if b.get("block_id") == REPLY else _squeezed(b, length) for b in blocks]
    metadata: dict[str, Any] = {
        "event_type": EVENT_TYPE,
        "event_payload": {"draft_id": draft.id, "issue": key_of(draft.issue.key), "state": str(draft.state)},
    }
    return Message(blocks, notification(draft), metadata)


def _open_card(
    draft: Draft, reply: Rendered, end: list[Block], site: str, now: datetime, timezone: ZoneInfo, quote_length: int
) -> list[Block]:
    blocks = [_issue(draft, site), *_answered(draft, site, now, timezone, quote_length), DIVIDER]
    edited = " · edited" if draft.edited else ""
    title = "Draft reply" if draft.state in UNDECIDED or draft.state is S.SKIPPED else "Reply"
    blocks.append(paragraph(text(title, bold=True), f"{edited} · {audience_words(draft)} · posts as PM Agent"))
    warnings = reply.warnings
    if reply.problem:
        source = {"type": "rich_text_preformatted", "elements": [text(draft.text or " ")]}
        warnings = (f"this is the reply's Markdown; it cannot be approved, because it {reply.problem}",)
        end = [kept for block in end if (kept := _without_approval(block))]
        blocks += [rich(source, block_id=REPLY), DIVIDER]
    else:
        blocks += [rich(*reply.slack(), block_id=REPLY), DIVIDER]
    if draft.state in UNDECIDED:
        blocks += _notified(reply) + _warnings(warnings)
    blocks.append(_why(draft))
    return [*blocks, *end]


def _without_approval(block: Block) -> Block | None:
    """A row of buttons without those that lead to Jira; None where no other is in it."""
    if block["type"] != "actions":
        return block
    left = [b for b in block["elements"] if b["action_id"] not in APPROVALS]
    return {**block, "elements": left} if left else None


def _squeezed(value: Any, length: int) -> Any:
    """A block whose texts are at most `length` characters each."""
    if isinstance(value, list):
        return [_squeezed(inner, length) for inner in value]
    if not isinstance(value, dict):
        return value
    return {k: cut(v, length) if k == "text" and isinstance(v, str) else _squeezed(v, length) for k, v in value.items()}


def _issue(draft: Draft, site: str) -> Block:
    issue = draft.issue
    if draft.withheld:
        return rich(section(link(issue_url(site, issue.key), issue.key, bold=True)))
    facts = [one_line(issue.status, 60), one_line(issue.assignee.name, 80) if issue.assignee else "nobody assigned"]
    if issue.priority:
        facts.append(f"{one_line(issue.priority, 40)} priority")
    if issue.due:
        facts.append(f"due {issue.due.day} {issue.due:%b}")
    return rich(
        section(
            link(issue_url(site, issue.key), issue.key, bold=True),
            text(f"  {one_line(issue.summary, 255)}", bold=True),
            text("\n" + " · ".join(fact for fact in facts if fact)),
        )
    )


def _answered(draft: Draft, site: str, now: datetime, timezone: ZoneInfo, length: int) -> list[Block]:
    """Who wrote what is answered, and its words: plain, and cut at `length` characters with a link to the rest."""
    who = one_line(draft.answered_author, 80) or "Somebody"
    when = f" {clock(draft.answered_at, now, timezone)}" if draft.answered_at else ""
    head = f"{who} wrote{when}" if draft.answered else f"{who} opened this issue{when}"
    blocks = [context(head)]
    words = render(draft.answered_text[:READ], known(draft.issue, draft.links, site)).plain().strip()
    if words:
        shown = cut(words, length) if length else ""
        elements = [quoted(shown)] if shown else []
        if shown != words or len(draft.answered_text) > READ:
            elements.append(section(link(issue_url(site, draft.issue.key, draft.answered), "Read all of it in Jira")))
        blocks.append(rich(*elements))
    return blocks


def _notified(reply: Rendered) -> list[Block]:
    """Whom Jira will notify: bold words can look like a mention."""
    if reply.problem or not reply.notified:
        return []
    return [context(cut(f"Jira notifies {', '.join(one_line(name, 80) for name in reply.notified)}", 500))]


def _warnings(warnings: tuple[str, ...]) -> list[Block]:
    if not warnings:
        return []
    lines = [f"⚠ {one_line(warning, 350)}" for warning in warnings]
    return [rich(*(section(line) for line in lines))]


def _why(draft: Draft) -> Block:
    parts = [f"Why: {one_line(draft.why, 500)}"] if draft.why.strip() else []
    parts.append(f"confidence {round(max(0.0, min(draft.confidence, 1.0)) * 100)} %")
    if draft.sources:
        parts.append("from " + one_line(", ".join(draft.sources), 200))
    return context(" · ".join([*parts, f"reply {draft.id[-6:]}"]))
