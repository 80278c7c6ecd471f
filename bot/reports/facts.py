"""The facts of a standup: what moved, what waits and for whom, what is due. Pure: issues in, facts out.

A fact is one line about one issue or pull request, in our words around names and summaries from Jira. Texts of comments
are quoted only where everybody who sees the issue may read them: never of internal or restricted comments, because the
standup channel is another audience than the issue.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft
from bot.domain.issues import NOISE, Comment, Frozen, Issue, PullRequest
from bot.domain.mentions import spoken
from bot.rules.questions import asks_something
from bot.safety.quoting import in_marks, shortened

WAITING_DAYS = 14
"""An unanswered question or an open review older than this is no news for a standup."""
DUE_DAYS = 7
"""How far ahead "what is due" looks."""
MAX_QUOTE = 140
"""Characters of a quoted comment; the issue is one click away."""
LONG = frozenset({"description", "environment", "summary", "comment"})
"""Fields whose values are texts: that they changed is the fact, not what they say."""

FactKind = Literal["moved", "waits", "due", "draft"]
KINDS: tuple[FactKind, ...] = ("moved", "waits", "due", "draft")


class Fact(Frozen):
    """One line. `ref`: `ECD-142` or `acme/export#12`; `person`: who moved it, or for whom it waits, or whose it is."""

    kind: FactKind
    ref: str
    url: str
    project: str
    person: str
    text: str


class StandupFacts(Frozen):
    """Everything a standup stands on. `notes`: sentences about what could not be read."""

    now: datetime
    since: datetime
    timezone: str
    projects: tuple[str, ...]
    facts: tuple[Fact, ...]
    notes: tuple[str, ...] = ()

    def of(self, kind: FactKind, project: str | None = None) -> tuple[Fact, ...]:
        return tuple(f for f in self.facts if f.kind == kind and project in (None, f.project))

    @property
    def refs(self) -> dict[str, str]:
        """Every reference a sentence may carry, with its address."""
        return {f.ref: f.url for f in self.facts}

    def for_claude(self) -> dict[str, object]:
        """The facts as data for a request: no addresses, no ids of people."""
        zone = ZoneInfo(self.timezone)
        return {
            "since": self.since.astimezone(zone).isoformat(timespec="minutes"),
            "now": self.now.astimezone(zone).isoformat(timespec="minutes"),
            **{
                kind: [f.model_dump(include={"ref", "project", "person", "text"}) for f in self.of(kind)]
                for kind in KINDS
            },
            "notes": list(self.notes),
        }


def last_working_day(today: date, standup_days: frozenset[int] | None = None) -> date:
    """The day a standup looks back to: Friday on a Monday, otherwise yesterday, where yesterday was one.

    A team with standups on other days than Monday to Friday looks back to its last standup day, where that is earlier:
    nothing may fall between two standups.
    """
    weekdays = frozenset(range(5))
    return min(_latest(today, days) for days in (weekdays, standup_days or weekdays))


def _latest(today: date, days: frozenset[int]) -> date:
    return next(
        today - timedelta(days=back) for back in range(1, 8) if (today - timedelta(days=back)).weekday() in days
    )


def looks_back_to(now: datetime, zone: ZoneInfo, standup_days: frozenset[int] | None = None) -> datetime:
    """The start of the last working day, local midnight, as an aware time."""
    return datetime.combine(last_working_day(now.astimezone(zone).date(), standup_days), time(0), zone)


def moved(issue: Issue, since: datetime) -> Iterator[Fact]:
    """What each person did to this issue since then: one fact per person."""
    did: dict[str, list[str]] = {}
    if issue.created and issue.created >= since:
        _of(did, issue.reporter.name if issue.reporter else "").append("created it")
    for change in issue.changes:
        field = change.field.casefold()
        if change.at < since or field in NOISE:
            continue
        if field in LONG:
            words = f"changed the {field}"
        elif field == "status":
            words = f"{_short(change.before, 40)} → {_short(change.after, 40)}"
        else:
            words = f"{field}: {_short(change.before, 40) or 'none'} → {_short(change.after, 40) or 'none'}"
        done = _of(did, change.by)
        if words not in done:
            done.append(words)
    for author, comments in _by_author(c for c in issue.comments if c.created >= since).items():
        count = "commented" if len(comments) == 1 else f"wrote {len(comments)} comments"
        quotable = [c for c in comments if c.for_everybody and c.text.strip()]
        quote = f": “{_short(quotable[-1].text, MAX_QUOTE)}”" if quotable and quotable[-1] is comments[-1] else ""
        _of(did, author).append(count + quote)
    for person, words_done in did.items():
        yield _about(issue, "moved", person, f"{_title(issue.summary)}: {'; '.join(words_done)}")


def waits(issue: Issue, now: datetime) -> Iterator[Fact]:
    """For whom this issue waits: an unanswered question, or another issue that blocks it."""
    if issue.status_category.casefold() == "done":
        return
    title = _title(issue.summary)
    assignee = issue.assignee.name if issue.assignee else ""
    last = issue.comments[-1] if issue.comments else None
    asked = last and not last.by_us and last.author.kind != "app" and asks_something(last.text)
    if last and asked and now - last.created <= timedelta(days=WAITING_DAYS):
        named = [name for account, name in issue.people().items() if f"[~accountid:{account}]" in last.text]
        others = [name for name in (*named, assignee) if name and name != last.author.name]
        whom = others[0] if others else "somebody (nobody is assigned)" if not assignee else "an answer"
        if last.for_everybody:
            text = f"{title}: {last.author.name} asked {in_marks(_short(last.text, MAX_QUOTE))}"
        else:
            text = f"{title}: {last.author.name} asked something in a comment that not everybody may see"
        yield _about(issue, "waits", whom, text)
    for link in issue.links:
        if "block" in link.relation.casefold() and "by" in link.relation.casefold() and not _closed(link.status):
            text = f"{title}: {link.relation} {link.key} ({_short(link.status, 40)})"
            yield _about(issue, "waits", assignee or "nobody assigned", text)


def due(issue: Issue, today: date) -> Iterator[Fact]:
    """That this issue is due: overdue, today, or in the next days."""
    if issue.due is None or issue.status_category.casefold() == "done" or issue.due > today + timedelta(days=DUE_DAYS):
        return
    late = (today - issue.due).days
    when = (
        f"overdue since {issue.due.isoformat()}"
        if late > 0
        else "due today"
        if late == 0
        else f"due {issue.due:%a} {issue.due.isoformat()}"
    )
    text = f"{_title(issue.summary)}: {when}, {_short(issue.status, 40)}"
    yield _about(issue, "due", issue.assignee.name if issue.assignee else "nobody assigned", text)


def pull_request(pr: PullRequest, project: str, since: datetime, now: datetime) -> Iterator[Fact]:
    """What happened to this pull request, and for whom it waits. Its title is empty where it is not for the channel."""
    title = _title(pr.title) if pr.title else "a pull request whose title is not shown"

    def fact(kind: FactKind, person: str, text: str) -> Fact:
        return Fact(kind=kind, ref=pr.id, url=pr.url, project=project, person=person, text=text)

    wanted = len(pr.reviewers)
    approvals = f"{len(pr.approved_by)} of {wanted} approvals" if wanted else ""
    if pr.updated >= since:
        state = {"OPEN": "draft" if pr.draft else "open", "MERGED": "merged", "DECLINED": "declined"}
        details = ", ".join(
            filter(None, (state.get(pr.state, pr.state.lower()), approvals if pr.state == "OPEN" else ""))
        )
        yield fact("moved", pr.author, f"{title}: {details}")
    if pr.state != "OPEN" or pr.draft or now - pr.updated > timedelta(days=WAITING_DAYS):
        return
    failed = [name for name, state in pr.builds.items() if state == "FAILED"]
    if pr.changes_requested_by:
        yield fact("waits", pr.author, f"{title}: {_names(pr.changes_requested_by)} requested changes")
    elif failed:
        yield fact("waits", pr.author, f"{title}: the build {_short(failed[0], 60)} failed")
    elif open_reviews := [name for name in pr.reviewers if name not in pr.approved_by]:
        for name in open_reviews:
            yield fact("waits", name, f"{title}: review, {approvals} so far")
    elif pr.approved_by:
        yield fact("waits", pr.author, f"{title}: approved by {_names(pr.approved_by)}, not merged")


def draft(draft: Draft, zone: ZoneInfo) -> Fact:
    """That a drafted reply waits for a decision."""
    states = {
        DraftState.HELD: "is held because the issue changed",
        DraftState.FAILED: "could not be posted",
        DraftState.UNKNOWN: "may or may not have been posted",
    }
    whom = f" to {_short(draft.answered_author, 60)}" if draft.answered_author else ""
    state = states.get(draft.state, "waits for a decision")
    text = f"the draft reply{whom} {state} (drafted {draft.created.astimezone(zone):%a %d %b, %H:%M})"
    return _about(draft.issue, "draft", "the approvers", text)


def _about(issue: Issue, kind: FactKind, person: str, text: str) -> Fact:
    return Fact(kind=kind, ref=issue.key, url=issue.url, project=issue.project, person=person, text=text)


def _of(did: dict[str, list[str]], person: str) -> list[str]:
    return did.setdefault(person or "somebody", [])


def _by_author(comments: Iterable[Comment]) -> dict[str, list[Comment]]:
    found: dict[str, list[Comment]] = {}
    for comment in comments:
        found.setdefault(comment.author.name or "somebody", []).append(comment)
    return found


def _title(text: str) -> str:
    return in_marks(_short(text, 80))


def _short(text: str, limit: int) -> str:
    """`text` on one line, with names for mentions, at most `limit` characters."""
    return shortened(" ".join(spoken(text).split()), limit)


def _names(people: Sequence[str]) -> str:
    return " and ".join(people) if len(people) < 3 else f"{', '.join(people[:-1])} and {people[-1]}"


def _closed(status: str) -> bool:
    # A linked issue comes without its status category; these are the names of Jira's own workflows.
    return status.casefold() in {"done", "closed", "resolved", "fixed", "won't do", "cancelled", "canceled", "declined"}
