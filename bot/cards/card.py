"""A draft's message, in every state of its life: what is answered, the reply, why, and what a person can do now.

The draft is rendered once, for the card and for Jira (`bot.rules.policy.rendered`), so what is seen is what is posted.
It stands in a frame (`bot.cards.frame`), and what we say of it outside, quoting its words. It is never cut. The quoted
comment is (a link leads to the rest), and then everything else, where a long draft leaves little room. What cannot be
shown whole (only what an older version drafted) is shown as it was written; nobody can approve it.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.cards.actions import APPROVE, POST_AGAIN, POST_ANYWAY, RETRY
from bot.cards.frame import FRAME_BLOCK_IDS, framed
from bot.cards.notification import notification
from bot.cards.parts import (
    MAX_MESSAGE,
    Block,
    Message,
    audience_words,
    clock,
    context,
    first_words,
    in_quotes,
    issue_url,
    key_of,
    link,
    named,
    not_there,
    one_line,
    quoted,
    rich,
    section,
    size,
    text,
)
from bot.cards.states import state_blocks
from bot.domain.draft_states import LAPSED, DraftState
from bot.domain.drafts import Draft
from bot.markup import Rendered, render
from bot.rules.policy import known, rendered
from bot.safety.quoting import in_marks, shortened

S = DraftState
EVENT_TYPE = "pmagent_draft"
"""The type of the message's metadata, whose payload has the `draft_id` by which the card is found again."""
MAX_QUOTE, MAX_QUOTE_LINES = 1000, 12
"""Characters of the answered comment, and the lines that they take; what is after those runs on in the last."""
LOOK_ALIKES = 3
"""Accounts with another's name that are shown."""
MAX_QUOTE_SOURCE = 4 * MAX_QUOTE
"""Characters of what is answered that are looked at for the quotation: marks and addresses are not seen in it."""
UNDECIDED = frozenset({S.WAITING, S.HELD, S.FAILED, S.UNKNOWN})
APPROVALS = frozenset({APPROVE, RETRY, POST_ANYWAY, POST_AGAIN})
WARNINGS = "warnings"
"""The id of the block that says what a person should look at in the reply."""
MORE = "⚠ and {} more to look at, for which there is no room: make the reply simpler"
WHOLE = FRAME_BLOCK_IDS | {WARNINGS}
"""The blocks that are not shortened."""


def draft_card(
    draft: Draft, *, site: str, now: datetime, timezone: ZoneInfo, newer_url: str | None = None, box: bool = True
) -> Message:
    """The message for this draft as it is now.

    `site`: the Jira site people browse. `now` decides whether Undo is still offered. `newer_url`: for a superseded
    draft, the newer card's address in Slack. `box`: whether the workspace takes Slack's container block.
    Its blocks stay within Slack's limits, whatever the issue holds.
    """
    site = site.rstrip("/")
    end = state_blocks(draft, site=site, now=now, timezone=timezone, newer_url=newer_url)
    if draft.state in LAPSED or draft.withheld:
        blocks = [_issue(draft, site), *end]
    else:
        reply = rendered(draft, site)
        for quote_length in (MAX_QUOTE, 300, 0):
            blocks = _open_card(draft, reply, end, site, now, timezone, quote_length, box)
            if size(blocks) <= MAX_MESSAGE:
                break
        for length in (250, 120, 60, 30):
            if size(blocks) > MAX_MESSAGE:
                blocks = [b if b.get("block_id") in WHOLE else _squeezed(b, length) for b in blocks]
        while size(blocks) > MAX_MESSAGE and (fewer := _without_a_warning(blocks)):
            blocks = fewer
    metadata: dict[str, Any] = {
        "event_type": EVENT_TYPE,
        "event_payload": {"draft_id": draft.id, "issue": key_of(draft.issue.key), "state": str(draft.state)},
    }
    return Message(blocks, notification(draft), metadata)


def _open_card(
    draft: Draft,
    reply: Rendered,
    end: list[Block],
    site: str,
    now: datetime,
    timezone: ZoneInfo,
    quote_length: int,
    box: bool,
) -> list[Block]:
    title = "Draft reply" if draft.state in UNDECIDED or draft.state is S.SKIPPED else "Reply"
    facts = [*(["edited"] if draft.edited else []), audience_words(draft), "posts as PM Agent"]
    blocks = [_issue(draft, site), *_answered(draft, site, now, timezone, quote_length)]
    blocks += framed(reply, draft.text, title, facts, box=box)
    warnings = reply.warnings
    if reply.problem:
        warnings = (f"this is the reply's Markdown; it cannot be approved, because it {reply.problem}",)
        end = [kept for block in end if (kept := _without_approval(block))]
    if draft.state in UNDECIDED:
        blocks += _notified(reply) + _warnings((*warnings, *draft.look_alikes[:LOOK_ALIKES], *_look_twice(draft)))
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
    return {
        k: shortened(v, length) if k == "text" and isinstance(v, str) else _squeezed(v, length)
        for k, v in value.items()
    }


def _issue(draft: Draft, site: str) -> Block:
    issue = draft.issue
    if draft.withheld:
        return rich(section(link(issue_url(site, issue.key), issue.key, bold=True)))
    facts = [named(issue.status, 60), named(issue.assignee.name) if issue.assignee else "nobody assigned"]
    if issue.priority:
        facts.append(f"{named(issue.priority, 40)} priority")
    if issue.due:
        facts.append(f"due {issue.due.day} {issue.due:%b}")
    return rich(
        section(
            text(first_words(draft), bold=True),
            text(" · "),
            link(issue_url(site, issue.key), issue.key, bold=True),
            text(f"  {in_quotes(issue.summary, 255)}"),
            text("\n" + " · ".join(facts)),
        )
    )


def _answered(draft: Draft, site: str, now: datetime, timezone: ZoneInfo, length: int) -> list[Block]:
    """Who wrote what is answered, and its words: plain, and cut at `length` characters with a link to the rest."""
    who = named(draft.answered_author) if draft.answered_author.strip() else "Somebody"
    when = f" {clock(draft.answered_at, now, timezone)}" if draft.answered_at else ""
    did = "wrote" if draft.answered else "changed the description" if draft.described else "opened this issue"
    head = f"{who} {did}{when}"
    blocks = [context(head)]
    words = render(draft.answered_text[:MAX_QUOTE_SOURCE], known(draft.issue, draft.links, site)).plain().strip()
    if words:
        shown = _in_few_lines(shortened(words, length)) if length else ""
        elements = [quoted(shown)] if shown else []
        if len(words) > length or len(draft.answered_text) > MAX_QUOTE_SOURCE:
            elements.append(section(link(issue_url(site, draft.issue.key, draft.answered), "Read all of it in Jira")))
        blocks.append(rich(*elements))
    return blocks


def _in_few_lines(words: str) -> str:
    """The same characters in a dozen lines: the draft and the buttons are to be on the screen as well."""
    first, rest = (lines := words.split("\n"))[:MAX_QUOTE_LINES], lines[MAX_QUOTE_LINES:]
    return "\n".join([*first[:-1], " ".join([first[-1], *rest])])


def _notified(reply: Rendered) -> list[Block]:
    """Whom Jira will notify: bold words can look like a mention."""
    if reply.problem or not reply.notified:
        return []
    return [context(shortened(f"Jira notifies {', '.join(named(name) for name in reply.notified)}", 500))]


def _warnings(warnings: tuple[str, ...]) -> list[Block]:
    if not warnings:
        return []
    lines = [f"⚠ {one_line(warning, 450)}" for warning in warnings]
    return [rich(*(section(line) for line in lines), block_id=WARNINGS)]


def _without_a_warning(blocks: list[Block]) -> list[Block] | None:
    """The card without its last warning, and with how many are left out in its place; None where one is left."""
    [found] = [b for b in blocks if b.get("block_id") == WARNINGS] or [rich()]
    lines = found["elements"]
    more = re.fullmatch(MORE.format(r"(\d+)"), lines[-1]["elements"][0]["text"]) if lines else None
    kept, left_out = (lines[:-2], int(more[1]) + 1) if more else (lines[:-1], 1)
    if not kept:
        return None
    fewer = rich(*kept, section(MORE.format(left_out)), block_id=WARNINGS)
    return [fewer if b is found else b for b in blocks]


def _look_twice(draft: Draft) -> tuple[str, ...]:
    """What a person should look at before they decide; nothing for a draft that rests on facts."""
    found = [in_marks(draft.look_twice)] if draft.look_twice else []
    found += [*draft.doubts, *(not_there(words) for words in draft.unsupported)]
    if not found and not draft.sources and not draft.edited:
        found = ["it names no fact that it rests on"]
    return (f"Look twice: {found[0]}", *found[1:]) if found else ()


def _why(draft: Draft) -> Block:
    head = "Why" if draft.edited or _look_twice(draft) else "Rests on facts"
    parts = [f"{head}: {in_quotes(draft.why, 500)}"] if draft.why.strip() else [head] if head != "Why" else []
    if draft.sources:
        parts.append("from " + one_line(", ".join(draft.sources), 200))
    return context(" · ".join([*parts, f"reply {draft.id[-6:]}"]))
