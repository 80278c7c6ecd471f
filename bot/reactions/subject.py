"""The subject of an answer: the issue as it is in Jira now, the comment that is answered, what Claude may see of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.domain.corrections import Correction
from bot.domain.events import DraftRequested, Event, IssueChanged, IssueCommented
from bot.domain.issues import Comment, Issue, PullRequest
from bot.errors import Gone
from bot.intake.silence import CONTEXT, Silence
from bot.markup import addresses_in
from bot.offload import offload
from bot.prompting import Material
from bot.rules.policy import audience, is_confidential, out_of_bounds, shown_to
from bot.rules.questions import asks_something, still_in
from bot.workflow.development import pull_requests, pull_requests_around
from bot.workflow.learning.corrections import lessons
from bot.workflow.withholding import withhold

if TYPE_CHECKING:
    from bot.context import Context

RESTRICTED = ("not everybody may see the comment", "it is for a role or group, whose members the channel's need not be")
"""Why a restricted comment is not answered: the silence's reason, and its detail."""


@dataclass(frozen=True)
class Subject:
    """What is to be answered: the issue as Claude may see it, and what the card and the freshness check need."""

    event: Event
    issue: Issue
    answered: Comment | None
    material: Material
    audience: Any
    asked_for: bool
    links: tuple[str, ...]
    learned: tuple[Correction, ...]


async def read_subject(ctx: Context, event: Event) -> Subject:
    """What is to be answered, as it is now. Whatever Jira says of it, in its own words, ends an outage of Jira's."""
    try:
        subject = await _subject(ctx, event)
    except Silence:
        await ctx.outages.jira.up()
        raise
    await ctx.outages.jira.up()
    return subject


async def _subject(ctx: Context, event: Event) -> Subject:
    """The issue's real state now. Raises `Silence` when it or the comment is gone or not to be answered.

    An issue that was moved has a new key, and is answered under it.
    """
    key = event.issues[0]
    try:
        issue = await ctx.jira.issue(key)
    except Gone as error:
        raise Silence("the issue is gone or forbidden", error.reason) from None
    if beyond := out_of_bounds(issue, ctx.settings):
        for known_as in dict.fromkeys((key, issue.key)):  # two where it was moved
            await withhold(ctx, known_as, beyond)
    require_in_bounds(ctx, key, issue)
    if isinstance(event, IssueChanged) and not asks_something(issue.description):
        raise Silence(CONTEXT, "the description asks nothing any more")
    comment_id = event.comment.id if isinstance(event, IssueCommented) else None
    if isinstance(event, DraftRequested):
        people = [
            c.id for c in issue.comments if not c.by_us and c.author.kind != "app" and not is_confidential(c, issue)
        ]
        comment_id = event.comment_id or next(iter(people[::-1]), None)
    answered = await _answered(ctx, issue, comment_id) if comment_id else None
    if answered and is_confidential(answered, issue):
        raise Silence(*RESTRICTED)
    if answered:
        issue = issue.with_comments(answered)  # it may be older than what was read of the thread
        answered = next(c for c in issue.comments if c.id == comment_id)  # with the names that the issue knows
    asked_for = isinstance(event, DraftRequested)
    seen_by = audience(issue, answered, ctx.settings)
    requests: tuple[PullRequest, ...] = ()
    others: tuple[PullRequest, ...] = ()
    shown = shown_to(seen_by, issue)
    if not seen_by.customer:
        requests = await pull_requests(ctx, key, issue.key)
        others = await pull_requests_around(ctx, shown, requests)
    changed = event if isinstance(event, IssueChanged) else None
    asked = answered.text if answered else shown.description or shown.summary
    learned = await lessons(ctx, issue.project, seen_by, asked)
    material = Material(
        issue=shown,
        kind="comment_edited" if isinstance(event, IssueCommented) and event.edited else event.kind,
        answered=answered,
        by=changed and changed.by,
        at=changed and changed.at,
        added=still_in(shown.description, changed.added) if changed else "",
        asked_for=asked_for,
        pull_requests=requests,
        other_pull_requests=others,
        audience=seen_by.audience,
        customer=seen_by.customer,
        learned=tuple(one.lesson for one in learned),
        now=ctx.clock.now(),
        timezone=ctx.settings.pmagent_timezone,
    )
    texts = [shown.description, *(c.text for c in shown.comments)]
    links = {p.url for p in requests}
    for text in texts:
        links |= await offload(partial(addresses_in, text))
    return Subject(event, issue, answered, material, seen_by, asked_for, tuple(sorted(links)), learned)


async def _answered(ctx: Context, issue: Issue, comment_id: str) -> Comment:
    async def read() -> Comment:
        found = next((c for c in issue.comments if c.id == comment_id), None)
        return found or await ctx.jira.comment(issue.key, comment_id, desk=issue.service_desk)

    try:
        comment, carries_marker = await asyncio.gather(read(), ctx.jira.has_marker(comment_id))
    except Gone as error:
        raise Silence("the comment is gone or forbidden", error.reason) from None
    if comment.by_us or carries_marker:
        raise Silence("our own comment", "the comment carries the bot's marker" if carries_marker else "")
    if comment.author.kind == "app":
        raise Silence("written by an app", f"{comment.author.name} is a bot")
    return comment


def require_in_bounds(ctx: Context, key: str, issue: Issue) -> None:
    """Raise `Silence` when the issue is not for the channel: another project, or a security level."""
    if beyond := out_of_bounds(issue, ctx.settings):
        raise Silence(beyond.reason, f"{key} {beyond.says}")
