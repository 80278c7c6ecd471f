"""Checks at Approve what a reply states, against fresh facts that are gathered for `bot.claims`.

What a reply states was said by the model that wrote it. What a person wrote is read by the cheap model first, which
may take some seconds; without its answer the reply is posted, and its card says that nothing was checked.

Nothing is read for a reply that states nothing. Jira unreadable: `RetryLater`, and the draft goes on waiting, as where
its own issue cannot be read. Bitbucket unreadable, or a pull request that nobody told us of: that is no reason to hold
a reply that a person approved, so it is posted, and its card says what was not checked, beside Undo.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bot.claims import Claim, Contradiction, Facts, IssueRef, PullRequestRef, claims_of, examine
from bot.clients.claude.errors import Unanswerable
from bot.domain.drafts import Draft
from bot.domain.issues import Frozen, Issue, PullRequest
from bot.errors import Permanent, RetryLater
from bot.prompting import claims_request, read_claims
from bot.rules.policy import MOVED, out_of_bounds
from bot.workflow.development import known_pull_requests, read_again
from bot.workflow.drafting.asking import ask_for
from bot.workflow.drafting.supporting import of_claims

if TYPE_CHECKING:
    from bot.context import Context

MOST_READ = 5
"""Pull requests, and issues, that are read for one reply."""
NOT_OURS = "{key} is not among JIRA_PROJECTS"
TIMEOUT = 8.0
"""Seconds for all pull requests together: nobody waits longer for a state that webhooks mostly tell."""


READING = 6.0
"""Seconds for the cheap model to say what a person's wording states: its POST waits for that."""


class Checked(Frozen):
    """What came of the check: what is not so, and what changes of the draft by it (`usd` is what that cost)."""

    contradictions: tuple[Contradiction, ...] = ()
    changes: dict[str, Any] = Field(default_factory=dict)


async def check_claims(ctx: Context, draft: Draft, issue: Issue) -> Checked:
    """What `draft` states that is not so, and what could not be checked. `issue`: as it is now.

    Raises `RetryLater` when Jira cannot be asked about another issue that the reply speaks of.
    """
    now = ctx.clock.now().astimezone(ctx.settings.timezone)
    claims, changes = draft.stated, {"unchecked": ()}
    if claims is None:
        try:
            claims, usd = await _read(ctx, draft, issue.key)
        except (RetryLater, Unanswerable) as error:
            return Checked(changes={"unchecked": (f"Nothing that this text states was checked: {error.reason}.",)})
        changes |= of_claims(draft, claims, now) | {"usd": usd}
    if not claims:
        return Checked(changes=changes)
    people = draft.issue.people() | issue.people()
    unread: dict[str, str] = {}
    keys = _keys(claims, issue.key)
    others = await _issues(ctx, keys, unread)
    pulls = await _pulls(ctx, claims, [issue.key, *others], unread)
    names = {*people.values(), *(change.by for change in issue.changes)}
    facts = Facts(
        issue=issue, others=others, pulls=pulls, unread=unread, people=frozenset(name for name in names if name),
        now=now,
    )  # fmt: skip
    examined = examine(claims, facts)
    return Checked(contradictions=examined.contradictions, changes=changes | {"unchecked": examined.unchecked})


async def _read(ctx: Context, draft: Draft, key: str) -> tuple[tuple[Claim, ...], float]:
    """What the present wording states, and what it cost to know. Raises `RetryLater` or `Unanswerable`."""
    ctx.outages.claude.hold()
    request = claims_request(ctx.prompts, ctx.settings, draft.text, key)
    try:
        async with asyncio.timeout(READING):
            stated, calls = await ask_for(ctx.claude, request, read_claims)
    except TimeoutError:
        raise RetryLater(f"Claude did not answer within {READING:g} seconds") from None
    return claims_of(stated, draft.text, key), sum(call.cost_usd for call in calls)


def _keys(claims: tuple[Claim, ...], own: str) -> list[str]:
    """The other issues that the claims are about."""
    named = [c.subject.key for c in claims if isinstance(c.subject, IssueRef)]
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
    subjects = [c.subject for c in claims if isinstance(c.subject, PullRequestRef)]
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
            async with asyncio.timeout(TIMEOUT):
                known[pull.id] = await read_again(ctx, pull)
        except (RetryLater, Permanent) as error:
            unread[f"PR #{pull.number}"] = error.reason.rstrip(".")
        except TimeoutError:
            unread[f"PR #{pull.number}"] = f"Bitbucket did not answer within {TIMEOUT:g} seconds"

    unread |= {f"PR #{pull.number}": "too many pull requests are named" for pull in meant[MOST_READ:]}
    await asyncio.gather(*(read(pull) for pull in meant[:MOST_READ]))
    return tuple(pull for pull in known.values() if pull.state)


def _unheard_of(repository: str, number: int) -> PullRequest:
    return PullRequest(
        id=f"{repository}#{number}", repository=repository, number=number, title="", url="", state="",
        updated=datetime.min.replace(tzinfo=UTC),
    )  # fmt: skip
