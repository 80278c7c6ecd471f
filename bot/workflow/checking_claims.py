"""Checks at Approve what a reply states, against fresh facts that are gathered for `bot.claims`.

Nothing is read for a reply that states nothing. Jira unreadable: `RetryLater`, and the draft goes on waiting, as where
its own issue cannot be read. Bitbucket unreadable, or a pull request that nobody told us of: that is no reason to hold
a reply that a person approved, so it is posted, and its card says what was not checked, beside Undo.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bot.claims import Claim, Examined, Facts, Pull, Ticket, claims_in, examine
from bot.domain.drafts import Draft
from bot.domain.issues import Issue, PullRequest
from bot.errors import Permanent, RetryLater
from bot.rules.policy import MOVED, out_of_bounds
from bot.workflow.development import known_pull_requests, read_again

if TYPE_CHECKING:
    from bot.context import Context

MOST_READ = 5
"""Pull requests, and issues, that are read for one reply."""
NOT_OURS = "{key} is not among JIRA_PROJECTS"
PATIENCE = 8.0
"""Seconds for all pull requests together: nobody waits longer for a state that webhooks mostly tell."""


async def check_claims(ctx: Context, draft: Draft, issue: Issue) -> Examined:
    """What `draft` states that is not so, and what could not be checked. `issue`: as it is now.

    Raises `RetryLater` when Jira cannot be asked about another issue that the reply speaks of.
    """
    people = draft.issue.people() | issue.people()
    claims = claims_in(draft.text, own=issue.key, people=people, statuses=_statuses(draft.issue, issue))
    if not claims:
        return Examined()
    unread: dict[str, str] = {}
    keys = _keys(claims, issue.key)
    others = await _issues(ctx, keys, unread)
    pulls = await _pulls(ctx, claims, [issue.key, *others], unread)
    names = {*people.values(), *(change.by for change in issue.changes)}
    facts = Facts(
        issue=issue, others=others, pulls=pulls, unread=unread, people=frozenset(name for name in names if name),
        now=ctx.clock.now().astimezone(ctx.settings.timezone),
    )  # fmt: skip
    return examine(claims, facts)


def _statuses(*issues: Issue) -> set[str]:
    """The names of statuses that these issues tell of: each site has its own."""
    found = {status for issue in issues for status in (issue.status, *(link.status for link in issue.links))}
    changes = (change for issue in issues for change in issue.changes if change.field.lower() == "status")
    return found | {status for change in changes for status in (change.before, change.after)}


def _keys(claims: tuple[Claim, ...], own: str) -> list[str]:
    """The other issues that the claims are about."""
    named = [c.subject.key for c in claims if isinstance(c.subject, Ticket)]
    named += [c.value for c in claims if c.kind == "blocked"]
    return [key for key in dict.fromkeys(named) if key not in ("", own)]


async def _issues(ctx: Context, keys: list[str], unread: dict[str, str]) -> dict[str, Issue]:
    """The issues of these keys, at most five. Why one is not read stands in `unread`."""
    wanted = [key for key in keys if ctx.settings.watches(key.rpartition("-")[0])]
    unread |= {key: NOT_OURS.format(key=key) for key in keys if key not in wanted}
    unread |= dict.fromkeys(wanted[MOST_READ:], "too many issues are named")

    async def read(key: str) -> Issue | None:
        try:
            issue = await ctx.jira.fields(key)
        except Permanent as error:
            unread[key] = error.reason.rstrip(".")
            return None
        beyond = out_of_bounds(issue, ctx.settings)
        if beyond is None:
            return issue
        unread[key] = NOT_OURS.format(key=key) if beyond == MOVED else f"{key} {beyond.says}"
        return None

    found = await asyncio.gather(*(read(key) for key in wanted[:MOST_READ]))
    return {key: issue for key, issue in zip(wanted, found, strict=False) if issue}


async def _pulls(
    ctx: Context, claims: tuple[Claim, ...], keys: list[str], unread: dict[str, str]
) -> tuple[PullRequest, ...]:
    """The pull requests that the claims can mean: as webhooks told of them, and given a token as Bitbucket has them."""
    subjects = [c.subject for c in claims if isinstance(c.subject, Pull)]
    if not subjects:
        return ()
    known = await known_pull_requests(ctx, keys)
    if not ctx.bitbucket.configured:
        return tuple(known.values())
    # A number that no webhook told of: looked for where this issue's pull requests are, and nowhere else.
    repositories = {pull.repository for pull in known.values()}
    numbers = {subject.number for subject in subjects if subject.number}
    for number in numbers - {pull.number for pull in known.values()}:
        for repository in repositories:
            known.setdefault(f"{repository}#{number}", _unheard_of(repository, number))
    meant = [pull for pull in known.values() if pull.number in numbers or any(not s.number for s in subjects)]

    async def read(pull: PullRequest) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                known[pull.id] = await read_again(ctx, pull)
        except (RetryLater, Permanent) as error:
            unread[f"PR #{pull.number}"] = error.reason.rstrip(".")
        except TimeoutError:
            unread[f"PR #{pull.number}"] = f"Bitbucket did not answer within {PATIENCE:g} seconds"

    unread |= {f"PR #{pull.number}": "too many pull requests are named" for pull in meant[MOST_READ:]}
    await asyncio.gather(*(read(pull) for pull in meant[:MOST_READ]))
    return tuple(pull for pull in known.values() if pull.state)


def _unheard_of(repository: str, number: int) -> PullRequest:
    return PullRequest(
        id=f"{repository}#{number}", repository=repository, number=number, title="", url="", state="",
        updated=datetime.min.replace(tzinfo=UTC),
    )  # fmt: skip
