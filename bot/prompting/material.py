"""What Claude is told about an issue: every fact with a short reference, bounded in size. Pure.

A reference ("status", "comment 10019", "PR acme/app#12") is what the answer names in `sources`, so that each fact in
a draft can be traced on the card. What is around the issue is in `related`, how single values look in `values`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.corrections import Lesson
from bot.domain.issues import NOISE, Change, Comment, Frozen, Issue, Person, PullRequest
from bot.prompting import values
from bot.prompting.related import others_of, pull_requests_around, pull_requests_of
from bot.prompting.untrusted import cut_middle
from bot.rules.identity import LookAlike, look_alikes
from bot.rules.policy import for_customer

# The bounds, in characters. A reply needs the question whole, what the issue is about, and the latest talk. Jira's own
# limit for one text is 32,767; what is longer than these is nearly always a log or a pasted thread, whose beginning and
# end say what it is. Together at most TOTAL (some 12,000 tokens), before characters are escaped: what is over it goes,
# the least needed first (FIRST_TO_GO). Triage, which is asked about every event, does without the children one by one
# and without the pull requests of other issues.
TOTAL = 45_000
ANSWERED_LIMIT = 12_000
DESCRIPTION_LIMIT = 6_000
COMMENT_LIMIT = 1_500
COMMENTS_LIMIT = 16_000
COMMENTS = 20
MAX_CHANGES = 15
MAX_NAMES = 10
"""Labels, components, versions and sprints that are named, of each."""
FIRST_TO_GO = (
    ("learned", -1), ("history", 0), ("pull_requests_of_other_issues", -1), ("children", -1), ("linked_issues", -1),
    ("pull_requests", -1), ("comments", 0),
)  # fmt: skip
"""Lists in which something is left out when all is too long, and at which end."""
AN_EDIT = timedelta(seconds=1)
"""What changed a comment sooner was Jira itself."""
NO_FACTS = frozenset({"learned"})
"""What in the data is no fact: nothing in a reply may rest on it."""
LISTS = ("comments", "history", "children", "linked_issues", "pull_requests", "pull_requests_of_other_issues")


class Material(Frozen):
    """Everything for one decision.

    `kind` is the event's kind, or `comment_edited`; `answered` the comment in question, None: the issue itself, which
    `by` changed `at` that time where it is not its creation that is answered; `added`: the sentences that were new in
    its description then. `asked_for`: a person or a rule asked for a draft. `pull_requests`: the issue's own;
    `other_pull_requests`: of linked issues and children. `audience` as in `Draft.audience`; `customer`: a service desk
    customer will see the reply. `learned`: earlier replies in the project for the same audience, as people changed
    them. `timezone`: IANA name. Raises ValueError where it holds what the audience must not see (the workflow leaves it
    out before; this is the second lock).
    """

    issue: Issue
    kind: str
    answered: Comment | None = None
    by: Person | None = None
    at: datetime | None = None
    added: str = ""
    asked_for: bool = False
    pull_requests: tuple[PullRequest, ...] = ()
    other_pull_requests: tuple[PullRequest, ...] = ()
    audience: str = "public"
    customer: bool = False
    learned: tuple[Lesson, ...] = ()
    now: datetime
    timezone: str = "UTC"

    def model_post_init(self, context: Any, /) -> None:
        comments = [*self.issue.comments, *([self.answered] if self.answered else [])]
        pulls = self.pull_requests or self.other_pull_requests
        if self.customer and (pulls or self.learned or self.issue != for_customer(self.issue)):
            raise ValueError("a reply for a customer must not be drafted from what is the team's own")
        if (self.customer or self.audience == "public") and any(not c.public or c.visibility for c in comments):
            raise ValueError("a public reply must not be drafted from internal or restricted comments")

    @property
    def local_now(self) -> datetime:
        return self.now.astimezone(ZoneInfo(self.timezone))

    @property
    def look_alikes(self) -> tuple[LookAlike, ...]:
        return look_alikes(self.issue, self.answered)


Alike = Mapping[Person, LookAlike]


def request_data(material: Material, *, brief: bool = False) -> dict[str, Any]:
    """The facts as JSON-able data, empty ones left out. Still raw: `untrusted.block` tidies and escapes.

    `brief`: for triage.
    """
    zone = ZoneInfo(material.timezone)
    alike = {found.who.person: found for found in material.look_alikes}
    comments, left_out = _comments(material, zone, alike)
    others = () if brief else material.other_pull_requests
    data = {
        "to_answer": _to_answer(material, zone, alike),
        "issue": _issue(material, zone, alike),
        "comments": comments,
        "history": [_change(c, zone) for c in _changes(material.issue)],
        **others_of(material.issue, alike, brief=brief),
        "pull_requests": pull_requests_of(material.pull_requests, zone),
        "pull_requests_of_other_issues": pull_requests_around(material.issue, others, zone),
        "learned": [] if brief else [_lesson(one) for one in material.learned],
    }
    left_out += _fit(data)
    if left_out:
        data["comments_note"] = f"{left_out} older comments are left out here"
    return values.without_empty(data)


def refs_of(data: dict[str, Any]) -> frozenset[str]:
    """Every reference that an answer may name in `sources`: the fields of the issue by name, all others by `ref`."""
    found = set(data.get("issue", {}))
    for name in LISTS:
        found |= {item["ref"] for item in data.get(name, ())}
    found |= {data[name]["ref"] for name in ("to_answer", "parent") if "ref" in data.get(name, ())}
    return frozenset(found | ({"children_count"} & data.keys()))


def _fit(data: dict[str, Any]) -> int:
    """Leave out what is over `TOTAL`. How many comments that are."""
    size, lost = len(_json(data)), dict.fromkeys((*LISTS, "learned"), 0)
    for name, end in FIRST_TO_GO:
        while data[name] and size > TOTAL:
            size -= len(_json(data[name].pop(end)))
            lost[name] += 1
    if any(lost.values()):
        data["left_out"] = {name: lost[name] for name in LISTS if lost[name] and name != "comments"}
    return lost["comments"]


def _lesson(one: Lesson) -> dict[str, str]:
    return {"asked": one.asked, "written": one.wrote, "changed_to": one.made}


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)


def _issue(material: Material, zone: ZoneInfo, alike: Alike) -> dict[str, Any]:
    issue = material.issue
    found: dict[str, Any] = {
        "key": issue.key,
        "summary": cut_middle(issue.summary, values.LINE_LIMIT),
        "url": issue.url,
        "type": issue.issue_type,
        "status": values.line(issue.status),
        "status_means": values.CATEGORIES.get(issue.status_category),
        "resolution": values.line(issue.resolution),
        "assignee": values.person(issue.assignee, alike),
        "reporter": values.person(issue.reporter, alike),
        "priority": values.line(issue.priority),
        "due": values.day(issue.due) if issue.due else "",
        "fix_versions": [values.version(one) for one in issue.fix_versions[:MAX_NAMES]],
        "sprint": [values.sprint(one) for one in (issue.sprints or ())[-MAX_NAMES:]],
        "components": [values.line(name) for name in issue.components[:MAX_NAMES]],
        "labels": [values.line(label) for label in issue.labels[:MAX_NAMES]],
        "created": values.time(issue.created, zone),
        "description": cut_middle(issue.description, DESCRIPTION_LIMIT),
    }
    if not material.customer:  # a customer is told of no gap: something may stand where they do not see it
        nothing = {"assignee": "nobody", "due": "no due date is set"}
        if not issue.service_desk:  # whose requests are planned nowhere
            nothing |= {"fix_versions": "none is set"}
            nothing |= {} if issue.sprints is None else {"sprint": "in no sprint"}
        found |= {name: said for name, said in nothing.items() if not found[name]}
    return values.without_empty(found)


def _to_answer(material: Material, zone: ZoneInfo, alike: Alike) -> dict[str, Any]:
    comment = material.answered
    if comment is not None:
        return {
            "what": "a comment",
            "ref": f"comment {comment.id}",
            "author": values.person(comment.author, alike),
            **_times(comment, zone),
            "seen_by": _seen_by(comment, material.issue),
            "text": cut_middle(comment.text, ANSWERED_LIMIT),
        }
    found = {"what": "the issue itself: its summary and description, below under issue"}
    if material.kind == "issue_changed":
        found["what"] = "the issue itself: its description, below under issue, was changed and now asks something"
    seen_by = "the customer and the team (public)" if material.issue.service_desk else "everybody who sees the issue"
    changed = {
        "changed_by": values.person(material.by, alike),
        "changed_at": values.time(material.at, zone),
        "added": cut_middle(material.added, ANSWERED_LIMIT),
    }
    return {**found, **values.without_empty(changed), "seen_by": seen_by}


def _seen_by(comment: Comment, issue: Issue) -> str:
    if comment.visibility is not None:
        return "one role or group only (restricted)"
    if not comment.public:
        return "the team only (an internal note)"
    return "the customer and the team (public)" if issue.service_desk else "everybody who sees the issue"


def _times(comment: Comment, zone: ZoneInfo) -> dict[str, str]:
    found = {"at": values.time(comment.created, zone)}
    if comment.updated - comment.created >= AN_EDIT:
        found["edited_at"] = values.time(comment.updated, zone)
    return found


def _comments(material: Material, zone: ZoneInfo, alike: Alike) -> tuple[list[dict[str, Any]], int]:
    """The newest comments, oldest first, within the bounds; and how many older ones there are."""
    answered = material.answered.id if material.answered else None
    others = [c for c in material.issue.comments if c.id != answered]
    kept: list[dict[str, Any]] = []
    room = COMMENTS_LIMIT
    for comment in reversed(others[-COMMENTS:]):
        text = cut_middle(comment.text, COMMENT_LIMIT)
        room -= len(text)
        if room < 0:
            break
        kept.append(_comment(comment, text, material, zone, alike))
    # Comments that were not read from Jira count too, except where some of them may be hidden from this audience.
    hides = material.customer or material.audience == "public"
    unread = 0 if hides else max(0, material.issue.comment_total - len(material.issue.comments))
    return kept[::-1], unread + len(others) - len(kept)


def _comment(comment: Comment, text: str, material: Material, zone: ZoneInfo, alike: Alike) -> dict[str, Any]:
    found: dict[str, Any] = {
        "ref": f"comment {comment.id}",
        "author": values.person(comment.author, alike),
        **_times(comment, zone),
        "text": text,
    }
    asked = material.answered.updated if material.answered else material.at
    if asked is not None and comment.created > asked:
        found["after_the_one_to_answer"] = True
    if comment.by_us:
        found["by_pm_agent"] = True
    if not comment.public:
        found["internal"] = True
    return found


def _changes(issue: Issue) -> tuple[Change, ...]:
    """The newest changes, oldest first."""
    told = [change for change in issue.changes if change.field.casefold() not in NOISE]
    return tuple(sorted(told, key=lambda change: change.at)[-MAX_CHANGES:])


def _change(change: Change, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "ref": f"change of {values.line(change.field)} at {values.time(change.at, zone)}",
        "from": values.changed(change, change.before),
        "to": values.changed(change, change.after),
        "by": values.line(change.by) or "somebody",
    }
