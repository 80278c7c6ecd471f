"""What Claude is told about an issue: every fact with a short reference, bounded in size. Pure.

A reference ("status", "comment 10019", "PR acme/app#12") is what the answer names in `sources`, so that each fact in
a draft can be traced on the card.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.issues import Change, Comment, Frozen, Issue, Person, PullRequest
from bot.prompting.untrusted import cut

# The bounds, in characters. Together at most about 45,000 (some 12,000 tokens): a reply needs the question whole, what
# the issue is about, and the latest talk. Jira's own limit for one text is 32,767; what is longer than these is nearly
# always a log or a pasted thread, whose beginning and end say what it is.
ANSWERED_LIMIT = 12_000
DESCRIPTION_LIMIT = 6_000
COMMENT_LIMIT = 1_500
COMMENTS_LIMIT = 16_000
LINE_LIMIT = 300
NAME_LIMIT = 100
COMMENTS = 20
CHANGES = 15
LINKS = 20
PULL_REQUESTS = 8
LABELS = 20
# What a customer may learn from the history. Links and labels are the team's own.
CUSTOMER_CHANGES = ("status", "assignee", "resolution", "due", "duedate", "due date", "priority")


class Material(Frozen):
    """Everything for one decision.

    `kind` is the event's kind; `answered` the comment in question, None: the issue itself.
    `asked_for`: a person or a rule asked for a draft. `audience` as in `Draft.audience`; `customer`: a service desk
    customer will see the reply. `timezone`: IANA name. Raises ValueError where it holds what the audience must not see
    (the workflow leaves it out before; this is the second lock).
    """

    issue: Issue
    kind: str
    answered: Comment | None = None
    asked_for: bool = False
    pull_requests: tuple[PullRequest, ...] = ()
    audience: str = "public"
    customer: bool = False
    now: datetime
    timezone: str = "UTC"

    def model_post_init(self, context: Any, /) -> None:
        comments = [*self.issue.comments, *([self.answered] if self.answered else [])]
        if self.customer and (self.issue.links or self.pull_requests):
            raise ValueError("a reply for a customer must not be drafted from linked issues or pull requests")
        if (self.customer or self.audience == "public") and any(not c.public or c.visibility for c in comments):
            raise ValueError("a public reply must not be drafted from internal or restricted comments")

    @property
    def local_now(self) -> datetime:
        return self.now.astimezone(ZoneInfo(self.timezone))


def data_of(material: Material) -> dict[str, Any]:
    """The facts as JSON-able data, empty ones left out. Still raw: `untrusted.block` tidies and escapes."""
    issue = material.issue
    zone = ZoneInfo(material.timezone)
    data: dict[str, Any] = {"to_answer": _to_answer(material, zone)}
    facts: dict[str, Any] = {
        "key": issue.key,
        "summary": cut(issue.summary, LINE_LIMIT),
        "url": issue.url,
        "type": issue.issue_type,
        "status": _line(issue.status),
        "status_category": issue.status_category,
        "assignee": _person(issue.assignee) or "nobody",
        "reporter": _person(issue.reporter),
        "priority": _line(issue.priority),
        "due": f"{issue.due.isoformat()} ({issue.due:%A})" if issue.due else "no due date is set",
        "labels": [] if material.customer else [_line(label) for label in issue.labels[:LABELS]],
        "created": _time(issue.created, zone),
        "description": cut(issue.description, DESCRIPTION_LIMIT),
    }
    data["issue"] = {name: value for name, value in facts.items() if value not in ("", None, [])}
    data["comments"], left_out = _comments(material, zone)
    if left_out:
        data["comments_note"] = f"{left_out} older comments are left out here"
    data["history"] = [_change(c, zone) for c in _changes(material)]
    data["linked_issues"] = [
        {"ref": f"link {link.key}", "relation": _line(link.relation), "key": link.key,
         "summary": cut(link.summary, LINE_LIMIT), "status": _line(link.status)}
        for link in issue.links[:LINKS]
    ]  # fmt: skip
    data["pull_requests"] = [_pull_request(p, zone) for p in _newest(material.pull_requests)]
    return {name: value for name, value in data.items() if value not in ([], None)}


def refs_of(data: dict[str, Any]) -> frozenset[str]:
    """Every reference that an answer may name in `sources`: the fields of the issue by name, all others by `ref`."""
    found = set(data.get("issue", {}))
    for name in ("comments", "history", "linked_issues", "pull_requests"):
        found |= {item["ref"] for item in data.get(name, ())}
    if ref := data.get("to_answer", {}).get("ref"):
        found.add(ref)
    return frozenset(found)


def _to_answer(material: Material, zone: ZoneInfo) -> dict[str, Any]:
    comment = material.answered
    if comment is None:
        return {"what": "the issue itself: its summary and description, below under issue"}
    return {
        "what": "a comment",
        "ref": f"comment {comment.id}",
        "author": _person(comment.author),
        "at": _time(comment.created, zone),
        "text": cut(comment.text, ANSWERED_LIMIT),
    }


def _comments(material: Material, zone: ZoneInfo) -> tuple[list[dict[str, Any]], int]:
    """The newest comments, oldest first, within the bounds; and how many older ones there are."""
    answered = material.answered.id if material.answered else None
    others = [c for c in material.issue.comments if c.id != answered]
    kept: list[dict[str, Any]] = []
    room = COMMENTS_LIMIT
    for comment in reversed(others[-COMMENTS:]):
        text = cut(comment.text, COMMENT_LIMIT)
        room -= len(text)
        if room < 0:
            break
        kept.append(_comment(comment, text, material, zone))
    # Comments that were not read from Jira count too, except where some of them may be hidden from this audience.
    hides = material.customer or material.audience == "public"
    unread = 0 if hides else max(0, material.issue.comment_total - len(material.issue.comments))
    return kept[::-1], unread + len(others) - len(kept)


def _comment(comment: Comment, text: str, material: Material, zone: ZoneInfo) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ref": f"comment {comment.id}",
        "author": _person(comment.author),
        "at": _time(comment.created, zone),
        "text": text,
    }
    if material.answered is not None and comment.created > material.answered.created:
        found["after_the_one_to_answer"] = True
    if comment.by_us:
        found["by_pm_agent"] = True
    if not comment.public:
        found["internal"] = True
    return found


def _changes(material: Material) -> Iterable[Change]:
    changes = material.issue.changes
    if material.customer:
        changes = tuple(c for c in changes if c.field.lower() in CUSTOMER_CHANGES)
    return changes[-CHANGES:] if not _newest_first(changes) else tuple(reversed(changes[:CHANGES]))


def _newest_first(changes: tuple[Change, ...]) -> bool:
    return len(changes) > 1 and changes[0].at > changes[-1].at


def _change(change: Change, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "ref": f"change of {_line(change.field)} at {_time(change.at, zone)}",
        "from": cut(change.before, LINE_LIMIT),
        "to": cut(change.after, LINE_LIMIT),
        "by": _name(change.by),
    }


def _newest(pull_requests: tuple[PullRequest, ...]) -> list[PullRequest]:
    return sorted(pull_requests, key=lambda p: p.updated, reverse=True)[:PULL_REQUESTS]


def _pull_request(pull: PullRequest, zone: ZoneInfo) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ref": f"PR {pull.id}",
        "number": pull.number,
        "title": cut(pull.title, LINE_LIMIT),
        "url": pull.url,
        "state": f"{pull.state} (draft)" if pull.draft else pull.state,
        "author": _name(pull.author),
        "reviewers": [_name(name) for name in pull.reviewers],
        "approved_by": [_name(name) for name in pull.approved_by],
        "changes_requested_by": [_name(name) for name in pull.changes_requested_by],
        "branch": _line(pull.branch),
        "target": _line(pull.target),
        "builds": [{"name": _line(name), "state": state} for name, state in pull.builds.items()],
        "updated": _time(pull.updated, zone),
    }
    always = ("reviewers", "approved_by")  # "nobody yet" is a fact here
    return {name: value for name, value in found.items() if value or name in always}


def _person(person: Person | None) -> dict[str, str] | None:
    if person is None:
        return None
    kinds = {"customer": "customer", "app": "bot"}
    found = {"name": _name(person.name), "id": person.account_id}
    return {**found, "kind": kinds[person.kind]} if person.kind in kinds else found


def _name(name: str) -> str:
    return cut(name, NAME_LIMIT)


def _line(text: str) -> str:
    return cut(text, NAME_LIMIT)


def _time(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else ""
