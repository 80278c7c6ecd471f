"""Pull requests and branches as webhooks told of them, kept for the issues that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.domain.events import BranchPushed, BuildReported, Event, PullRequestChanged
from bot.domain.issues import Issue, PullRequest
from bot.errors import Permanent, RetryLater
from bot.log import get_logger
from bot.store import Expect, Put, Record

if TYPE_CHECKING:
    from bot.context import Context

log = get_logger(__name__)
REFRESHED, REFRESHED_AROUND = 5, 3
"""How many pull requests of an issue, and of those around it, are read from Bitbucket again before a draft, where there
is a token and as far as they are open."""


@dataclass(frozen=True)
class DevelopmentChange:
    """What an event changes in `development`, and what must still be there for it: parts of one commit."""

    puts: tuple[Put, ...] = ()
    expect: tuple[Expect, ...] = ()


async def learn(ctx: Context, event: Event) -> DevelopmentChange:
    """What a Bitbucket event changes; on a `Conflict` it has to be asked again."""
    if isinstance(event, PullRequestChanged):
        return await _learn_pull_request(ctx, event)
    if isinstance(event, BuildReported):
        return await _learn_build(ctx, event)
    if isinstance(event, BranchPushed) and not event.deleted:
        record = {
            "id": f"{event.repository}:{event.branch}", "at": event.at.isoformat(), "type": "branch",
            "keys": list(event.issues), "repository": event.repository, "branch": event.branch,
            "commits": list(event.commits), "by": event.by.name if event.by else "",
        }  # fmt: skip
        return DevelopmentChange((Put("development", record),))
    return DevelopmentChange()


async def pull_requests(ctx: Context, *keys: str) -> tuple[PullRequest, ...]:
    """The pull requests known for an issue, by the key or keys that it has had, newest first; open ones read from
    Bitbucket anew, given a token."""
    return await _newest(ctx, await known_pull_requests(ctx, keys), REFRESHED)


async def pull_requests_around(ctx: Context, issue: Issue, own: Iterable[PullRequest]) -> tuple[PullRequest, ...]:
    """Those of linked issues and of children, as `pull_requests`, but those that are the issue's `own`."""
    keys = dict.fromkeys(other.key for other in (*issue.links, *issue.children))
    known = await known_pull_requests(ctx, keys)
    mine = {pull.id for pull in own}
    return await _newest(ctx, {name: pull for name, pull in known.items() if name not in mine}, REFRESHED_AROUND)


async def _newest(ctx: Context, found: dict[str, PullRequest], refreshed: int) -> tuple[PullRequest, ...]:
    known = sorted(found.values(), key=lambda p: p.updated, reverse=True)
    if not ctx.bitbucket.configured:
        return tuple(known)
    return (*await asyncio.gather(*(_refreshed(ctx, one) for one in known[:refreshed])), *known[refreshed:])


async def _refreshed(ctx: Context, known: PullRequest) -> PullRequest:
    if known.state != "OPEN":
        return known
    try:
        return await read_again(ctx, known)
    except (RetryLater, Permanent) as error:
        # What the webhooks told is still true as far as we know; a draft does not wait for Bitbucket.
        log.warning("bitbucket.not_read", pull_request=known.id, reason=error.reason)
        return known


async def read_again(ctx: Context, known: PullRequest) -> PullRequest:
    """The pull request as Bitbucket has it now; builds come from webhooks alone. Raises `RetryLater` or `Permanent`."""
    found = await ctx.bitbucket.pull_request(known)
    closed = known.closed if found.state == known.state else None
    return found.model_copy(update={"builds": known.builds, "built": known.built, "keys": known.keys, "closed": closed})


async def known_pull_requests(ctx: Context, keys: Iterable[str]) -> dict[str, PullRequest]:
    """What webhooks told of the pull requests of these issues, by id; nothing is read from Bitbucket."""
    found = [await ctx.store.find("development", keys=key) for key in keys]
    return {r["id"]: _read(r) for records in found for r in records if r["type"] == "pull_request"}


async def known_repositories(ctx: Context) -> dict[str, dict[str, PullRequest]]:
    """Every repository that webhooks told of, the one with the latest news first, with its pull requests by id."""
    found: dict[str, dict[str, PullRequest]] = {}
    for record in sorted(await ctx.store.find("development"), key=lambda record: str(record["at"]), reverse=True):
        known = found.setdefault(record["repository"], {})
        if record["type"] == "pull_request":
            known[record["id"]] = _read(record)
    return found


def _record(pull_request: PullRequest) -> Record:
    data = pull_request.model_dump(mode="json")
    return {**data, "at": data["updated"], "type": "pull_request"}


def _read(record: Record) -> PullRequest:
    return PullRequest.model_validate({k: v for k, v in record.items() if k not in ("at", "type")})


async def _learn_pull_request(ctx: Context, event: PullRequestChanged) -> DevelopmentChange:
    wanted = event.pull_request
    old = await ctx.store.get("development", wanted.id)
    if old is not None:
        before = _read(old)
        if before.updated > wanted.updated:
            return DevelopmentChange()  # events come in no promised order: an older one does not undo a newer
        keys = tuple(dict.fromkeys((*wanted.keys, *before.keys)))
        closed = wanted.closed or (before.closed if wanted.state == before.state else None)
        kept: dict[str, Any] = {"builds": {**before.builds, **wanted.builds}, "built": {**before.built, **wanted.built}}
        if wanted.state == before.state:
            kept["closed_by"] = wanted.closed_by or before.closed_by
        wanted = wanted.model_copy(update={**kept, "keys": keys, "closed": closed})
    return DevelopmentChange((Put("development", _record(wanted)),), (Expect("development", wanted.id, old),))


async def _learn_build(ctx: Context, event: BuildReported) -> DevelopmentChange:
    """A build's state belongs to the open pull requests of its branch."""
    found = {
        record["id"]: record
        for key in event.issues
        for record in await ctx.store.find("development", keys=key)
        if record["type"] == "pull_request" and record["branch"] == event.branch
    }
    puts: list[Put] = []
    for record in found.values():
        known = _read(record)
        if event.name in known.built and known.built[event.name] > event.at:
            continue  # events come in no promised order
        builds, built = {**known.builds, event.name: event.state}, {**known.built, event.name: event.at}
        puts.append(Put("development", _record(known.model_copy(update={"builds": builds, "built": built}))))
    return DevelopmentChange(tuple(puts), tuple(Expect("development", r["id"], r) for r in found.values()))
