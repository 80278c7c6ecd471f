"""Reconciling with Bitbucket: asks for what no webhook brought. It tries each at most three times, large ones never.

Every hour, and at start, the open pull requests of the repositories that are known from webhooks are read; those known
as open and not among them any more were merged or declined. What differs from what is known becomes an event with
source `reconcile`, which is context like any other of Bitbucket's. Needs a token; builds come from webhooks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.domain.events import PullRequestChanged
from bot.domain.issue_keys import find_keys
from bot.domain.issues import PullRequest
from bot.errors import Gone, Permanent, RetryLater
from bot.failpoints import failpoint
from bot.intake.accept import Delivery, accept
from bot.log import get_logger
from bot.store import Audit, Conflict, Expect, Put, Record
from bot.workflow.development import known_repositories, read_again

if TYPE_CHECKING:
    from bot.context import Context
    from bot.schedule.turns import Turn

log = get_logger(__name__)
REPOSITORIES = 50
"""Repositories that are read in one run: those with the latest news."""
SINGLY = 100
"""Pull requests of one repository that are read one by one because they are not among its open ones any more."""
STATE_ID = "reconcile:bitbucket"
NO_RUN: Record = {"done": None, "found": 0, "trouble": ""}
_PEOPLE = ("reviewers", "approved_by", "changes_requested_by")
_FACTS = ("title", "state", "draft", "branch", "target")


async def reconcile_development(ctx: Context, turn: Turn | None = None) -> None:
    """One run. Raises `RetryLater` when Bitbucket has to be asked again."""
    if not ctx.bitbucket.configured:
        return
    try:
        counts = await _read_all(ctx, turn.mine if turn else ())
    except Conflict:
        raise RetryLater("another process asks Bitbucket for what was missed") from None
    except (RetryLater, Permanent) as error:
        if (await last_run(ctx))["trouble"] != error.reason:
            await _note(ctx, trouble=error.reason)
            log.warning("reconcile.waits", service="bitbucket", reason=error.reason)
        if isinstance(error, RetryLater):
            raise
        return  # refused for good: again in an hour, and `health` says why
    details = {"service": "bitbucket", **counts}
    await _note(ctx, done=ctx.clock.now().isoformat(), found=counts["found"], audit=details)
    log.info("reconcile.done", **details)


async def _read_all(ctx: Context, mine: Sequence[Expect]) -> dict[str, int]:
    """Take in what is not known. `mine`: true while nobody else does; raises `Conflict` where it is not."""
    counts = {"repositories": 0, "pull_requests": 0, "found": 0, "unreadable": 0}
    # What an earlier run noticed and nobody has taken up yet would differ once more. It is looked for first: what is
    # taken up in between is among what is known.
    pending = await ctx.store.find("webhook_events", state="received", kind="pull_request")
    waiting = {record["event"]["pull_request"]["id"] for record in pending}
    repositories = await known_repositories(ctx)
    for repository, known in list(repositories.items())[:REPOSITORIES]:
        try:
            read = {one.id: one for one in await ctx.bitbucket.open_pull_requests(repository)}
        except Gone as error:
            counts["unreadable"] += 1
            log.info("reconcile.unreadable", repository=repository, reason=error.reason)
            continue
        gone = [one for one in known.values() if one.state == "OPEN" and one.id not in read]
        for one in gone[:SINGLY]:
            try:
                read[one.id] = await read_again(ctx, one)
            except Gone:
                counts["unreadable"] += 1
        counts["repositories"] += 1
        counts["pull_requests"] += len(read)
        for found in read.values():
            event = None if found.id in waiting else changed(ctx, known.get(found.id), found)
            if event is not None:
                await accept(ctx, Delivery("reconcile", None, None, ctx.clock.now()), event, expect=mine)
                failpoint("reconcile.after_pull_request")
                counts["found"] += 1
    return counts


def changed(ctx: Context, known: PullRequest | None, found: PullRequest) -> PullRequestChanged | None:
    """The event that a webhook would have brought; None when it is as known, or about no watched issue."""
    keys = find_keys(found.branch, found.title, watches=ctx.settings.watches, projects=ctx.settings.jira_projects)
    action = "created"
    if known is not None:
        if not _differs(known, found):
            return None
        keys = tuple(dict.fromkeys((*keys, *known.keys)))
        # An approval does not always move Bitbucket's own time of the last change.
        kept = {"builds": known.builds, "built": known.built}
        found = found.model_copy(update={"updated": max(known.updated, found.updated), **kept})
        ended = {"MERGED": "fulfilled", "DECLINED": "rejected", "SUPERSEDED": "rejected"}
        action = ended.get(found.state, "updated")
    if not keys:
        return None
    found = found.model_copy(update={"keys": keys})
    return PullRequestChanged(issues=keys, action=action, pull_request=found, at=found.updated)


def _differs(known: PullRequest, found: PullRequest) -> bool:
    return any(getattr(known, name) != getattr(found, name) for name in _FACTS) or any(
        set(getattr(known, name)) != set(getattr(found, name)) for name in _PEOPLE
    )


async def last_run(ctx: Context) -> Record:
    """`done`: when the last complete run ended; `found`: what it noticed; `trouble`: why a later one did not end."""
    return await ctx.store.get("state", STATE_ID) or NO_RUN


async def _note(ctx: Context, *, audit: dict[str, Any] | None = None, **changes: Any) -> None:
    lines = (Audit("system", "reconcile.done", details=audit),) if audit else ()
    while True:
        stored = await ctx.store.get("state", STATE_ID)
        before = stored or NO_RUN
        after = {**before, "trouble": "", **changes}
        if audit is None and after == before:
            return
        record = {**after, "id": STATE_ID, "at": ctx.clock.now().isoformat()}
        try:
            await ctx.store.commit(Put("state", record), expect=(Expect("state", STATE_ID, stored),), audit=lines)
        except Conflict:
            continue
        return
