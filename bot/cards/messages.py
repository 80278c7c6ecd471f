"""The channel's other messages: a switched mode, an outage, a spent budget, an event that failed, what was missed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bot.cards.actions import RETRY_EVENT
from bot.cards.parts import (
    MAX_MESSAGE,
    Block,
    Message,
    bullets,
    button,
    buttons,
    clock,
    context,
    in_quotes,
    issue_url,
    key_of,
    link,
    named,
    one_line,
    paragraph,
    size,
    text,
)
from bot.domain.drafts import Mode
from bot.domain.events import IssueChanged, IssueCommented, IssueCreated
from bot.safety.quoting import shortened

UTC = ZoneInfo("UTC")
FIRST_WORDS = 120
"""Characters of a comment that is listed; the issue is one click away."""


def mode_message(mode: Mode, by_name: str) -> Message:
    """Said in the approvals channel when somebody switched the mode."""
    means = (
        "Approved replies are posted to Jira from now on."
        if mode == "production"
        else "Approve and Edit only show what would have been posted; Jira is not written to."
    )
    return Message(
        [
            paragraph(text(f"The mode is {mode} now", bold=True), f", switched by {named(by_name)}. {means}"),
            context("Cards that wait are redrawn, the newest first. Until then a click on one decides nothing."),
        ],
        f"The mode is {mode} now.",
    )


def outage_message(
    since: datetime, reason: str, ended: datetime | None = None, *, service: str = "Claude", timezone: ZoneInfo = UTC
) -> Message:
    """A service cannot be asked since then, or (`ended`) could not be: one message for each outage."""
    start = _stamp(since, timezone)
    if ended:
        sentence = f" It was unavailable from {start} to {_stamp(ended, timezone)}. What waited is being worked on."
        return Message(
            [paragraph(text(f"✓ {service} answers again.", bold=True), sentence)], f"{service} answers again."
        )
    return Message(
        [
            paragraph(text(f"⚠ {service} cannot be asked", bold=True), f" since {start}: {one_line(reason, 300)}"),
            context(f"Nothing is lost: events wait, and drafting goes on by itself when {service} answers."),
        ],
        f"{service} cannot be asked at the moment. Nothing is lost: drafting goes on by itself.",
    )


def budget_message(spent: float, limit: float, until: datetime, *, timezone: ZoneInfo = UTC) -> Message:
    """Today's spend has reached PMAGENT_DAILY_BUDGET_USD."""
    return Message(
        [
            paragraph(
                text("⚠ Today's budget is spent", bold=True),
                f": {spent:.2f} of {limit:.2f} USD. Events wait; the next day begins {_stamp(until, timezone)}.",
            ),
            context(
                "The limit is the setting PMAGENT_DAILY_BUDGET_USD. A call is made only when its highest possible "
                "cost still fits."
            ),
        ],
        "Today's Claude budget is spent. Drafting waits until tomorrow.",
    )


def trail_message(seq: int, why: str) -> Message:
    """The audit trail is not what it was."""
    return Message(
        [
            paragraph(text("⚠ The audit trail is broken", bold=True), f" at record {seq}: {shortened(why, 500)}."),
            context(
                "Somebody changed the data, or they were damaged. Replies go on as before. An administrator runs "
                "python -m bot audit verify, and compares with a backup from before."
            ),
        ],
        f"The audit trail is broken at record {seq}.",
    )


def erasure_message(seq: int, at: str, blanked: int) -> Message:
    """The texts of a person were erased. Who it was is not in the records any more."""
    fields = "No field" if not blanked else "One field" if blanked == 1 else f"{blanked:,} fields"
    return Message(
        [
            paragraph(
                text("A person's texts were erased", bold=True),
                f" from the records ({at[:10]}, audit record {seq}). {fields} of the audit trail "
                f"{'was' if blanked == 1 else 'were'} blanked with them.",
            ),
            context("If nobody asked for that, somebody has changed the data: python -m bot audit verify"),
        ],
        "A person's texts were erased from the records.",
    )


def failure_message(event_id: str, issue_key: str, site: str, reason: str, *, retried: str | None = None) -> Message:
    """An event that could not be answered, with `Retry`; without it once `retried` (who asked for it).

    The issue by its key alone: where it could not be read, it is not known whether it is for the channel.
    """
    key = key_of(issue_key)
    head = link(issue_url(site, issue_key), issue_key, bold=True) if key == issue_key else text(issue_key, bold=True)
    blocks = [
        paragraph(head, text("  No draft could be made", bold=True), f": {shortened(reason, 500)}"),
    ]
    if retried:
        blocks.append(context(f"{named(retried)} asked for another try."))
    else:
        blocks.append(buttons(button("Retry", RETRY_EVENT, {"event": event_id})))
    return Message(blocks, f"No draft could be made for {key}.")


def missed_message(
    missed: Sequence[IssueCommented | IssueCreated | IssueChanged],
    count: int,
    *,
    site: str,
    now: datetime,
    timezone: ZoneInfo = UTC,
) -> Message:
    """What came while the bot was away and is too old to be answered unasked. `missed`: the newest of all `count`."""
    one = count == 1
    head = paragraph(
        text("One comment" if one else f"{count} comments", bold=True),
        f" came while PM Agent was away, and {'is' if one else 'are'} older than 24 hours: no draft was made. "
        "To have an issue answered all the same: ",
        text("/pmagent draft KEY", code=True),
    )
    rows = [_missed_row(event, site, now, timezone) for event in missed]
    while True:
        more = count - len(rows)
        blocks = [head, bullets(rows), *([context(f"and {more} more")] if more else [])]
        if size(blocks) <= MAX_MESSAGE or not rows:
            return Message(blocks, f"{'One comment' if one else f'{count} comments'} came while PM Agent was away.")
        rows.pop()


def _missed_row(
    event: IssueCommented | IssueCreated | IssueChanged, site: str, now: datetime, timezone: ZoneInfo
) -> Sequence[str | Block]:
    if isinstance(event, IssueCommented):
        comment, words = event.comment.id, event.comment.text
        who = event.comment.author.name
        if not event.comment.for_everybody:
            told = f"  {clock(event.at, now, timezone)}: a comment that not everybody may see"
            return (link(issue_url(site, event.issues[0], comment), event.issues[0], bold=True), told)
    elif isinstance(event, IssueChanged):
        comment, words = None, event.asks
        who = event.by.name if event.by else "somebody"
    else:
        comment, words = None, event.text
        who = event.reporter.name if event.reporter else "somebody"
    told = f"  {named(who, 60)} {clock(event.at, now, timezone)}: {in_quotes(words, FIRST_WORDS)}"
    return (link(issue_url(site, event.issues[0], comment), event.issues[0], bold=True), told)


def _stamp(at: datetime, timezone: ZoneInfo) -> str:
    local = at.astimezone(timezone)
    return f"{local.day} {local:%b %H:%M} {local.tzname()}"
