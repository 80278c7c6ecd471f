"""Claims held against the facts: what contradicts them, in sentences for a card, and what could not be checked. Pure.

Only a clear contradiction counts. Where the facts leave room (a build that runs again, a name that nobody here has, a
blocker that no link records) the claim is left alone, or said to be unchecked where a person would want to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bot.claims import people
from bot.claims.claim import Claim, Contradiction, Examined, Facts, IssueRef, PullRequestRef
from bot.claims.stated import EVERYBODY
from bot.domain.issues import Issue, PullRequest
from bot.safety.quoting import in_marks

_STATE_WORDS = {"OPEN": "open", "MERGED": "merged", "DECLINED": "declined", "SUPERSEDED": "superseded"}
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DONE = ("done", "closed", "resolved", "released", "finished", "completed")
_MOST = 6
"""Sentences of a kind on a card."""


class _Unchecked(Exception):
    """The facts do not hold it. `reason` completes "Not checked: … (reason)"; "" is not worth a word."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


def examine(claims: Iterable[Claim], facts: Facts) -> Examined:
    """Every claim checked, one sentence for each contradiction, in the text's order."""
    found: dict[str, Contradiction] = {}
    unchecked: dict[str, None] = {}
    for claim in claims:
        if claim.kind == "person":
            continue  # who is named says nothing that changes
        try:
            fact = _contrary(claim, facts)
        except _Unchecked as unknown:
            if unknown.reason:
                unchecked[f"Not checked: {in_marks(claim.quote)} ({unknown.reason})."] = None
            continue
        if fact:
            said, fixed = fact if isinstance(fact, tuple) else (fact, fact)
            sentence = f"The draft says {in_marks(claim.quote)}; {said}."
            one = Contradiction(claim=claim, sentence=sentence, fact=fixed)
            found.setdefault(one.key, one)
    return Examined(contradictions=tuple(found.values())[:_MOST], unchecked=tuple(unchecked)[:_MOST])


def _contrary(claim: Claim, facts: Facts) -> str | tuple[str, str] | None:
    """What is so instead, as a clause; None when the claim holds. Two clauses: as it is shown, and without its time."""
    if isinstance(claim.subject, PullRequestRef):
        pull = _pull(claim.subject, facts)
        check = {"state": _state, "approvals": _approvals, "approved_by": _approved_by, "build": _build}[claim.kind]
        fact = check(claim, pull, facts)
        if not fact and (reason := facts.unread.get(f"PR #{pull.number}")):
            raise _Unchecked(reason)
        return fact
    issue = _issue(claim.subject, facts)
    return {"status": _status, "blocked": _blocked, "assignee": _assignee, "due": _due}[claim.kind](claim, issue, facts)


def _pull(subject: PullRequestRef, facts: Facts) -> PullRequest:
    """The pull request that is meant: by number, and by repository where the text says it."""
    found = [
        pull for pull in facts.pulls
        if (not subject.number or pull.number == subject.number)
        and (not subject.repository or f"/{pull.repository}".endswith(f"/{subject.repository}"))
    ]  # fmt: skip
    if not found and subject.number:
        raise _Unchecked(facts.unread.get(subject.name) or f"{subject.name} is not known here")
    if len(found) != 1:
        raise _Unchecked
    return found[0]


def _issue(subject: IssueRef, facts: Facts) -> Issue:
    if subject.key in ("", facts.issue.key):
        return facts.issue
    if subject.key in facts.others:
        return facts.others[subject.key]
    raise _Unchecked(facts.unread.get(subject.key, f"{subject.key} was not read"))


# Pull requests


def _state(claim: Claim, pull: PullRequest, facts: Facts) -> str | tuple[str, str] | None:
    if pull.state not in _STATE_WORDS:
        raise _Unchecked
    holds = {
        "MERGED": pull.state == "MERGED",
        "OPEN": pull.state == "OPEN",
        "DECLINED": pull.state == "DECLINED",
        "CLOSED": pull.state != "OPEN",
        "DRAFT": pull.state == "OPEN" and pull.draft,
    }[claim.value]
    if holds != claim.negated:
        return None
    if claim.value == "DRAFT" and pull.state == "OPEN":
        return f"{_name(pull)} is a draft" if pull.draft else f"{_name(pull)} is no draft any more"
    return _is(pull, facts)


def _is(pull: PullRequest, facts: Facts) -> tuple[str, str]:
    it, word = _name(pull), _STATE_WORDS[pull.state]
    plain = f"{it} is {word}" if pull.state == "OPEN" else f"{it} was {word}"
    return (f"{plain}{ago(pull.closed, facts.now)}" if pull.closed else plain), plain


def _approvals(claim: Claim, pull: PullRequest, facts: Facts) -> str | None:
    same = str(len(pull.approved_by)) == claim.value
    return _who_approved(pull) if same == claim.negated else None


def _approved_by(claim: Claim, pull: PullRequest, facts: Facts) -> str | None:
    if claim.value in EVERYBODY:
        everybody = bool(pull.approved_by) and all(r in pull.approved_by for r in pull.reviewers)
        if claim.negated:
            return _who_approved(pull) if everybody else None
        return None if everybody or (claim.value == "somebody" and pull.approved_by) else _who_approved(pull)
    approved = people.meant(claim.value, pull.approved_by)
    if claim.negated:
        return _who_approved(pull) if len(approved) == 1 else None
    if approved:
        return None
    # Somebody who is nowhere else may well be called differently there.
    if not people.meant(claim.value, (*pull.reviewers, *pull.changes_requested_by, pull.author, *facts.people)):
        raise _Unchecked
    return _who_approved(pull)


def _who_approved(pull: PullRequest) -> str:
    it, who = _name(pull), pull.approved_by
    if not who:
        return f"{it} has no approval"
    return f"{it} has {_count(len(who))}, by {_names(who)}"


def _build(claim: Claim, pull: PullRequest, facts: Facts) -> str | None:
    states = set(pull.builds.values())
    if not states:
        raise _Unchecked(f"no build of PR #{pull.number} is known here")
    running, bad = "INPROGRESS" in states, sorted(n for n, s in pull.builds.items() if s == "FAILED")
    green = states == {"SUCCESSFUL"}
    if claim.value == "running":
        wrong = running if claim.negated else not running
    elif running and not bad:
        return None  # it runs again: either may be said of the last one
    elif claim.value == "green":
        wrong = green if claim.negated else bool(bad)
    else:
        wrong = bool(bad) if claim.negated else green
    if not wrong:
        return None
    if bad:
        return f"{_names(bad)} failed"
    return "it is running" if running else "it passed"


# Issues


def _status(claim: Claim, issue: Issue, facts: Facts) -> str | None:
    said = claim.value.casefold()
    if not issue.status:
        raise _Unchecked
    holds = issue.status.casefold() == said or (said in _DONE and issue.status_category == "done")
    if said == "open" and issue.status.casefold() != said:
        holds = issue.status_category != "done"  # in everyday words: not finished
    return f"{_name(issue)} is {issue.status}" if holds == claim.negated else None


def _blocked(claim: Claim, issue: Issue, facts: Facts) -> str | None:
    link = next((x for x in issue.links if x.key == claim.value and "blocked by" in x.relation.casefold()), None)
    other = facts.others.get(claim.value)
    status = other.status if other else link.status if link else ""
    done = other.status_category == "done" if other else status.casefold() in _DONE
    if claim.negated:
        return f"the link in Jira says it is, and {claim.value} is {status}" if link and not done else None
    if done:
        return f"{claim.value} is {status}"
    if link is None:
        raise _Unchecked("no link in Jira says so")
    return None


def _assignee(claim: Claim, issue: Issue, facts: Facts) -> str | None:
    now = issue.assignee.name if issue.assignee else ""
    it = _name(issue)
    so = f"{it} is assigned to {now}" if now else f"nobody is assigned to {it}"
    if not claim.value:
        return so if bool(now) != claim.negated else None
    holds = bool(now) and people.same_person(claim.value, now)
    if claim.negated:
        return so if holds else None
    if holds:
        return None
    if now and not people.meant(claim.value, facts.people):
        raise _Unchecked  # perhaps another name of the same person
    return so


def _due(claim: Claim, issue: Issue, facts: Facts) -> str | None:
    it = _name(issue)
    holds = claim.value == (issue.due.isoformat() if issue.due else "none")
    if holds != claim.negated:
        return None
    if issue.due is None:
        return f"{it} has no due date in Jira"
    return f"the due date in Jira is {issue.due:%A}, {issue.due.day} {issue.due:%B %Y}"


# Words


def _name(thing: PullRequest | Issue) -> str:
    return f"PR #{thing.number}" if isinstance(thing, PullRequest) else thing.key


def _count(count: int) -> str:
    word = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{word} approval{'' if count == 1 else 's'}"


def _names(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) > 4:
        listed = [*listed[:3], f"{len(listed) - 3} more"]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


def ago(at: datetime, now: datetime) -> str:
    """ " 5 minutes ago", " just now", or " on 20 November"; with its leading space."""
    passed = now - at
    if passed < timedelta(minutes=1):
        return " just now"
    if passed < timedelta(hours=1):
        count, name = int(passed / timedelta(minutes=1)), "minute"
    elif passed < timedelta(days=1):
        count, name = int(passed / timedelta(hours=1)), "hour"
    else:
        local = at.astimezone(now.tzinfo)
        return f" on {local.day} {local:%B}"
    return f" {count} {name}{'' if count == 1 else 's'} ago"
