"""What is said about learning: why a draft was skipped, what was corrected, a proposed change of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bot.cards.actions import ACCEPT_CHANGE, DECLINE_CHANGE, FORGET, REASONS
from bot.cards.parts import (
    MAX_MESSAGE,
    Block,
    Message,
    button,
    buttons,
    clock,
    context,
    in_quotes,
    issue_url,
    key_of,
    link,
    listing,
    named,
    paragraph,
    rich,
    section,
    size,
    text,
    whisper,
)
from bot.domain.corrections import SKIP_REASONS, Correction
from bot.safety.quoting import shortened

MAX_ROWS = 12
ROW_TEXT = 260
"""Characters of each of a correction's three texts; the reply itself stands in Jira."""
DIFF_LIMIT = 5_000
"""Characters; what is proposed is so short that its diff has fewer."""
MOST_QUOTED = 5


def skip_question(draft_id: str, key: str) -> Message:
    """What only the person who skipped a draft sees."""
    row = [
        button(SKIP_REASONS[reason], action_id, {"draft": draft_id}) for action_id, reason in REASONS.items()
    ]  # fmt: skip
    return Message(
        [
            paragraph(f"You skipped {key_of(key)}. What was it?"),
            buttons(*row),
            context("You need not answer. Only you see this, and the figures count it without a name."),
        ],
        "What was it about the draft that you skipped?",
    )


def learned_page(
    found: Sequence[Correction], project: str | None, *, admin: bool, site: str, now: datetime, timezone: ZoneInfo
) -> Message:
    """The corrections in use, newest first, with `Forget` for an admin."""
    if not found:
        where = f" in {project}" if project else ""
        return whisper(
            f"Nothing is learned{where} yet: it comes from drafts that people edit before they approve them."
        )
    one = len(found) == 1
    head = paragraph(
        text("One correction is in use" if one else f"{len(found)} corrections are in use", bold=True),
        ". Up to three of the nearest go to Claude with the next question in the same project, for the manner alone, "
        "and never where a customer will see the reply.",
    )
    blocks: list[Block] = [head]
    shown = 0
    for correction in found[:MAX_ROWS]:
        row = _row(correction, project, admin, site, now, timezone)
        if size([*blocks, *row]) > MAX_MESSAGE - 200:
            break
        blocks += row
        shown += 1
    if len(found) > shown:
        blocks.append(context(f"and {len(found) - shown} more"))
    return Message(blocks, "PM Agent answered you privately.")


def _row(
    found: Correction, project: str | None, admin: bool, site: str, now: datetime, timezone: ZoneInfo
) -> list[Block]:
    where = "internal note" if found.audience == "internal" else "public reply"
    head = section(
        link(issue_url(site, found.issue), found.issue, bold=True), f"  {where}, {clock(found.at, now, timezone)}"
    )
    texts = (("Asked: ", found.asked), ("Claude: ", found.wrote), ("Changed to: ", found.made))
    row = [rich(head, listing([(text(name, bold=True), in_quotes(words, ROW_TEXT)) for name, words in texts]))]
    if admin:
        value = {"correction": found.id, **({"project": project} if project else {})}
        row.append(buttons(button("Forget", FORGET, value)))
    return row


class CorrectionRow(NamedTuple):
    """A correction that a proposal rests on, cut for the message."""

    issue: str
    wrote: str
    made: str


class ProposalOutcome(NamedTuple):
    """What an admin said to a proposal. `diff`: None where they declined it."""

    by: str
    diff: str | None


def proposal_message(
    number: int,
    file: str,
    why: str,
    rests_on: Sequence[CorrectionRow],
    *,
    site: str,
    outcome: ProposalOutcome | None = None,
) -> Message:
    """A change of a prompt file that Claude proposes; with its diff where it was accepted. Nothing writes by itself."""
    head = section(text("Claude proposes a change of its prompts", bold=True), ", in ", text(file, code=True))
    rows = [
        (
            link(issue_url(site, one.issue), one.issue),
            f"  {in_quotes(one.wrote, 160)} became {in_quotes(one.made, 160)}",
        )
        for one in rests_on[:MOST_QUOTED]
    ]
    blocks = [
        rich(head, section(shortened(why, 600))),
        rich(section("It rests on what people changed:"), listing(rows)),
    ]
    if len(rests_on) > len(rows):
        blocks.append(context(f"and {len(rests_on) - len(rows)} more"))
    if outcome is None:
        value = {"proposal": str(number)}
        accept = button("Accept", ACCEPT_CHANGE, value, style="primary")
        blocks.append(buttons(accept, button("Not now", DECLINE_CHANGE, value)))
        blocks.append(context("For admins. Nothing is written by itself: Accept shows the diff to commit."))
    elif outcome.diff is None:
        blocks.append(context(f"{named(outcome.by)} declined it."))
    else:
        diff = {"type": "rich_text_preformatted", "elements": [text(shortened(outcome.diff, DIFF_LIMIT))]}
        blocks.append(rich(section(text(f"✓ {named(outcome.by)} accepted it. To commit:", bold=True)), diff))
        blocks.append(context("It counts when it is in the folder prompts/ and PM Agent was started again."))
    return Message(blocks, "Claude proposes a change of its prompts.")
