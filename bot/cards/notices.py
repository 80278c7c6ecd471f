"""The channel's other messages: the mode was switched, Claude is down, the budget is spent, an event failed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from bot.cards.actions import RETRY_EVENT
from bot.cards.parts import (
    Message,
    button,
    buttons,
    context,
    cut,
    issue_url,
    key_of,
    link,
    one_line,
    paragraph,
    text,
)
from bot.drafts import Mode

UTC = ZoneInfo("UTC")


def mode_notice(mode: Mode, by_name: str, waiting: int) -> Message:
    """Said in the approvals channel when somebody switched the mode. `waiting`: how many cards were redrawn."""
    means = (
        "Approved replies are posted to Jira from now on."
        if mode == "production"
        else "Approve and Edit only show what would have been posted; Jira is not written to."
    )
    cards = {0: "", 1: " The one draft that waits was redrawn."}.get(
        waiting, f" The {waiting} drafts that wait were redrawn."
    )
    return Message(
        [
            paragraph(
                text(f"The mode is {mode} now", bold=True), f", switched by {one_line(by_name, 80)}. {means}{cards}"
            )
        ],
        f"The mode is {mode} now.",
    )


def outage_notice(since: datetime, reason: str, ended: datetime | None = None, *, timezone: ZoneInfo = UTC) -> Message:
    """Claude cannot be asked since then, or (`ended`) could not be; one message for each outage, updated at its end."""
    start = _stamp(since, timezone)
    if ended:
        sentence = f" It was unavailable from {start} to {_stamp(ended, timezone)}. What waited is being worked on."
        return Message([paragraph(text("✓ Claude answers again.", bold=True), sentence)], "Claude answers again.")
    return Message(
        [
            paragraph(text("⚠ Claude cannot be asked", bold=True), f" since {start}: {one_line(reason, 300)}"),
            context("Nothing is lost: events wait, and drafting goes on by itself when Claude answers."),
        ],
        "Claude cannot be asked at the moment. Nothing is lost: drafting goes on by itself.",
    )


def budget_notice(spent: float, limit: float, until: datetime, *, timezone: ZoneInfo = UTC) -> Message:
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


def failed_event(
    event_id: str, issue_key: str, summary: str, site: str, reason: str, *, retried: str | None = None
) -> Message:
    """An event that Claude itself could not answer, with `Retry`; without it once `retried` (who asked for it)."""
    key = key_of(issue_key)
    head = link(issue_url(site, issue_key), issue_key, bold=True) if key == issue_key else text(issue_key, bold=True)
    blocks = [
        paragraph(head, f"  {one_line(summary, 300)}"),
        paragraph(text("No draft could be made", bold=True), f": {cut(reason, 500)}"),
    ]
    if retried:
        blocks.append(context(f"{one_line(retried, 80)} asked for another try."))
    else:
        blocks.append(buttons(button("Retry", RETRY_EVENT, {"event": event_id})))
    return Message(blocks, f"No draft could be made for {key}.")


def _stamp(at: datetime, timezone: ZoneInfo) -> str:
    local = at.astimezone(timezone)
    return f"{local.day} {local:%b %H:%M} {local.tzname()}"
