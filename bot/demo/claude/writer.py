"""A small rule-based writer in Claude's place: English, honest, and unable to say anything that the data does not hold.

It knows a handful of questions (status, review, blockers, dates, builds, who) and answers them from the fields of the
issue. It is a stand-in for the demo and for tests, and no measure of what the model writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

Data = dict[str, Any]
Facts = tuple[list[str], list[str]]
"""Sentences, and the refs behind them."""

_ORDER = re.compile(
    r"(ignore|disregard|forget|override)\b.{0,40}\b(instruction|rule|prompt|above|previous|prior)|system prompt"
    r"|you are now|developer mode|jailbreak|act as|new instructions|reveal your"
    r"|approve (this|it) (yourself|automatically)"
    r"|(reply|respond|answer|post|say)\b.{0,30}\b(exactly|only|verbatim)|ignorier\w* (alle|die)|do not tell",
    re.IGNORECASE | re.DOTALL,
)
_WANTS = re.compile(
    r"\?|？|\b(any (news|update|progress)|please (tell|let|share|advise|confirm|update)|wondering|need to know)\b"
    r"|\bstatus update\b",
    re.IGNORECASE,
)
_ASSUMES = re.compile(
    r"\b(is|are|was|been|already|now)\s+(already\s+|now\s+)?(merged|released|done|fixed|deployed|live|closed)\b",
    re.IGNORECASE,
)
_GREETING = re.compile(r"(hi|hello|dear)\b", re.IGNORECASE)
_OPENERS = ("The ", "No ", "Nobody ", "It ", "On ")
"""Our own first words, which go on in lower case after a greeting; names and keys do not."""
_DONE = ("done", "closed", "resolved", "released")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth")


def write(data: Data, *, asked_for: bool = False, note: bool = False) -> dict[str, Any]:
    """The decision about the data of one request.

    `asked_for`: a person wants a draft, so silence is no answer. `note`: it will be an internal note, which is written
    to the colleague who has the request and never to the customer who asked.
    """
    text, author = _question(data)
    if not asked_for and (reason := _silence(data, text, author)):
        return _decision(False, reason, "", 0.9, [])
    sentences, refs, known = _answer(data, _without_orders(text))
    body = " ".join(sentences)
    if note and _customer(data):
        greeting = f"{_for_whom(data)}: {_first(author)} asks about this. "
    else:
        greeting = f"Hi {_first(author)}, " if author else ""
    if greeting.endswith(", ") and body.startswith(_OPENERS):
        body = body[0].lower() + body[1:]
    reason = (
        "A direct question that the issue answers." if known else "A direct question; the issue names who would know."
    )
    return _decision(True, reason, greeting + body, 0.86 if known else 0.55, refs)


def standup(data: Data) -> dict[str, Any]:
    """One sentence for each fact of a standup, in the facts' own words and order, at most 12."""
    found: list[dict[str, Any]] = []
    for value in data.values():
        for fact in value if isinstance(value, list) else ():
            if isinstance(fact, dict) and isinstance(fact.get("ref"), str) and fact.get("text"):
                who = f"{fact['person']} " if fact.get("person") and fact["person"] not in fact["text"] else ""
                words = f"{fact['ref']}: {who}{fact['text']}".rstrip(". ") + "."
                found.append({"text": words[:390], "refs": [fact["ref"]]})
    return {"sentences": found[:12]}


def proposal(data: Data) -> dict[str, Any]:
    """A change of voice.md where most people took the greeting away; else none."""
    pairs = data["corrections"]
    taken = [p["ref"] for p in pairs if _GREETING.match(p["written"]) and not _GREETING.match(p["changed_to"])]
    line = next((line for line in data["files"]["voice.md"].splitlines() if line.startswith("- Greet ")), "")
    if not line or 2 * len(taken) < len(pairs):
        return {"why": "No change repeats.", "propose": False, "file": "", "old_text": "", "new_text": "", "pairs": []}
    return {
        "why": "People take the greeting away: drop it.", "propose": True, "file": "voice.md", "old_text": line,
        "new_text": line.replace("- Greet ", "- Begin without a greeting; where one is needed, greet ", 1),
        "pairs": taken,
    }  # fmt: skip


def _decision(respond: bool, reason: str, text: str, confidence: float, refs: list[str]) -> dict[str, Any]:
    return {
        "reasoning": reason, "should_respond": respond, "response_text": text, "confidence": confidence,
        "sources": list(dict.fromkeys(refs)),
    }  # fmt: skip


def _question(data: Data) -> tuple[str, str]:
    """What is to be answered, and by whom it was written."""
    what, issue = data.get("to_answer", {}), data.get("issue", {})
    if "text" in what:
        return str(what["text"]), str((what.get("author") or {}).get("name", ""))
    text = f"{issue.get('summary', '')}\n{issue.get('description', '')}"
    return text, str((issue.get("reporter") or {}).get("name", ""))


def _customer(data: Data) -> bool:
    """Whether a service desk customer wrote what is to be answered."""
    what = data.get("to_answer", {})
    person = what.get("author") if "text" in what else data.get("issue", {}).get("reporter")
    return isinstance(person, dict) and person.get("kind") == "customer"


def _for_whom(data: Data) -> str:
    who = data.get("issue", {}).get("assignee")
    return f"For {_first(who['name'])}" if isinstance(who, dict) else "For whoever takes this"


def _silence(data: Data, text: str, author: str) -> str:
    """Why nothing is to be said; "" when an answer is due."""
    plain = _without_orders(text)
    if not _WANTS.search(plain) and not _wrong_assumption(data, plain):
        return "It reads as orders to a program; nothing is asked." if plain != text else "Nothing is asked here."
    for comment in data.get("comments", ()):
        other = (comment.get("author") or {}).get("name", "")
        if comment.get("after_the_one_to_answer") and other != author:
            return f"{_first(other)} already answered."
    if asked := _asked_by_name(data, plain, author):
        return f"{_first(asked)} was asked by name and will answer."
    return ""


def _asked_by_name(data: Data, text: str, author: str) -> str:
    start = text.strip()[:80]
    for person in _people(data):
        name = person["name"]
        called = rf"^(hi |hey |hello )?@?({re.escape(name)}|{re.escape(_first(name))})\s*[,:—-]"
        if name != author and (
            start.startswith(f"[~accountid:{person['id']}]") or re.match(called, start, re.IGNORECASE)
        ):
            return str(name)
    return ""


def _people(data: Data) -> list[dict[str, str]]:
    issue = data.get("issue", {})
    found = [issue.get("assignee"), issue.get("reporter"), *(c.get("author") for c in data.get("comments", ()))]
    return [p for p in found if isinstance(p, dict)]


def _without_orders(text: str) -> str:
    return " ".join(part for part in re.split(r"(?<=[.!?\n])\s+", text) if not _ORDER.search(part))


def _wrong_assumption(data: Data, text: str) -> bool:
    if not _ASSUMES.search(text):
        return False
    is_open = any(str(p.get("state", "")).startswith("open") for p in data.get("pull_requests", ()))
    return is_open and data.get("issue", {}).get("status", "").lower() not in _DONE


def _answer(data: Data, text: str) -> tuple[list[str], list[str], bool]:
    """Sentences, refs, and whether the issue really holds the answer."""
    lower = text.lower()
    topics: list[Callable[[Data], Facts]] = []
    for words, topic in _TOPICS:
        if re.search(words, lower) and topic not in topics:
            topics.append(topic)
    if _wrong_assumption(data, text) and _pulls not in topics:
        topics.insert(0, _pulls)
    sentences: list[str] = []
    refs: list[str] = []
    for topic in topics[:2]:
        found, behind = topic(data)
        sentences += [s for s in found if s not in sentences]
        refs += behind
    if sentences:
        return sentences[:5], refs, True
    found, behind = _who_knows(data)
    return found, behind, False


def _state(data: Data) -> Facts:
    issue = data.get("issue", {})
    key, status, who = issue.get("key", "The issue"), issue.get("status", "open"), issue.get("assignee")
    pulls, refs = _pulls(data)
    if pulls:
        return pulls, ["status", *refs]
    whose = f"{who['name']} has it" if isinstance(who, dict) else "nobody is assigned yet"
    return [f"{key} is {status}; {whose}."], ["status", "assignee"]


def _pulls(data: Data) -> Facts:
    found: list[str] = []
    refs: list[str] = []
    for pull in data.get("pull_requests", ())[:2]:
        found += _pull(pull, "fix" if data.get("issue", {}).get("type", "").lower() == "bug" else "change")
        refs.append(pull["ref"])
    return found, refs


def _pull(pull: Data, thing: str) -> list[str]:
    name, author, state = (
        f"PR #{pull.get('number')}",
        _first(pull.get("author", "")) or "Somebody",
        pull.get("state", ""),
    )
    if state == "merged":
        return [f"{author}'s {thing} is merged: {name}."]
    if not state.startswith("open"):
        return [f"{name} by {author} was {state} without being merged."]
    reviewers, approved = pull.get("reviewers", []), [one["name"] for one in pull.get("approved_by", ())]
    if "draft" in state:
        return [f"{author} has a draft, {name}; it is not up for review yet."]
    missing = [r for r in reviewers if r not in approved]
    if not reviewers:
        found = [f"{author} has a {thing} ready for review: {name}. It has no reviewer yet."]
    elif not missing:
        found = [f"{author} has a {thing} in review: {name}, approved by everybody asked. It is not merged yet."]
    else:
        count = f"{_number(len(approved))} of {_number(len(reviewers))} approvals so far"
        role = f"{_join([_first(m) for m in missing])} still {'has' if len(missing) == 1 else 'have'} to review it"
        if len(missing) == 1 and 1 < len(reviewers) < len(_ORDINALS):
            role = f"{_first(missing[0])} is the {_ORDINALS[len(reviewers)]} reviewer"
        found = [f"{author} has a {thing} in review: {name}, {count}.", f"It is not merged yet; {role}."]
    if asked := pull.get("changes_requested_by"):
        found.append(f"{_join([_first(a) for a in asked])} asked for changes.")
    return found


def _review(data: Data) -> Facts:
    found, refs = _pulls(data)
    return (found, refs) if found else (["No pull request is known for this issue yet."], ["status"])


def _blockers(data: Data) -> Facts:
    blocking = [
        link
        for link in data.get("linked_issues", ())
        if "blocked by" in link["relation"].lower() and link["status"].lower() not in _DONE
    ]
    if not blocking:
        return ["No open blocker is linked on the issue.", *_state(data)[0]], ["status"]
    found = [f"It is blocked by {b['key']} ({b['summary']}), which is {b['status']}." for b in blocking[:2]]
    return found, [b["ref"] for b in blocking[:2]]


def _due(data: Data) -> Facts:
    issue = data.get("issue", {})
    due = str(issue.get("due", "no due date is set"))
    if due.startswith("no due"):
        found, refs = _state(data)
        who = issue.get("assignee")
        whom = f" {_first(who['name'])} would know when." if isinstance(who, dict) else ""
        return [f"No due date is set on the issue.{whom}", *found], ["due", *refs]
    return [f"The due date on the issue is {due}; it is {issue.get('status', 'open')} now."], ["due", "status"]


def _builds(data: Data) -> Facts:
    found: list[str] = []
    refs: list[str] = []
    for pull in data.get("pull_requests", ())[:2]:
        for build in pull.get("builds", ())[:2]:
            found.append(f"On PR #{pull['number']}, {build['name']} is {build['state']}.")
            refs.append(pull["ref"])
    return found, refs


def _owner(data: Data) -> Facts:
    who = data.get("issue", {}).get("assignee")
    if isinstance(who, dict):
        return [f"{who['name']} is assigned, and the issue is {data['issue'].get('status', 'open')}."], [
            "assignee",
            "status",
        ]
    return ["Nobody is assigned yet."], ["assignee"]


def _left(data: Data) -> Facts:
    """What is left to do: the children that are not finished."""
    count = data.get("children_count")
    if not count:
        return _needed(data)
    left = [child for child in data.get("children", ()) if child.get("status_means") != "finished"]
    if not left:
        return [f"I see no open child issue: all {count['all']} are finished."], ["children_count"]
    named = [f"{c['key']} ({c['summary']}, {c['status']}, {_whose(c['assignee'])})" for c in left[:3]]
    return [f"Of {count['all']} child issues I see {_number(len(left))} open: {_join(named)}."], [
        "children_count", *(child["ref"] for child in left[:3]),
    ]  # fmt: skip


def _whose(assignee: Any) -> str:
    name = assignee["name"] if isinstance(assignee, dict) else assignee
    return "nobody assigned" if name == "nobody" else f"with {_first(name)}"


def _priority(data: Data) -> Facts:
    priority = data.get("issue", {}).get("priority")
    return ([f"The priority is {priority}."], ["priority"]) if priority else ([], [])


def _needed(data: Data) -> Facts:
    blocked = _blockers(data)
    if blocked[1] and blocked[1] != ["status"]:
        return blocked
    return _state(data)


def _who_knows(data: Data) -> Facts:
    issue = data.get("issue", {})
    who = issue.get("assignee")
    if isinstance(who, dict):
        return [f"The issue does not say. {who['name']}, who has it, would know."], ["assignee"]
    return ["The issue does not say, and nobody is assigned yet. Who should look at it?"], ["assignee"]


_TOPICS: tuple[tuple[str, Callable[[Data], Facts]], ...] = (
    (r"\bblock|\bstuck|\bwaiting (for|on)\b|depend", _blockers),
    (r"\breview|\bapprov|\bpull request|\bpr\b|\bmerge", _review),
    (r"\bwhen\b|\bdue\b|deadline|\beta\b|by (mon|tues|wednes|thurs|fri)day|\bdate\b|how long", _due),
    (r"\bbuild|\bpipeline|\bci\b|\btests? (fail|pass|green|red)", _builds),
    (r"\bwho('s| is| has| works| owns)|\banybody\b.*\b(assigned|own)|responsible", _owner),
    (r"priorit|how urgent", _priority),
    (r"\b(is|are|what'?s) (still )?left\b|\bleft to do|\bremain|sub-?tasks?|child(ren)?\b", _left),
    (r"\bneed|\bmissing|\bnext\b", _needed),
    (
        r"status|update|progress|news|looking (at|into)|working on|ready|done|fixed|start|happening|still|on track",
        _state,
    ),
)


def _first(name: str) -> str:
    return name.split()[0] if name.split() else ""


def _number(count: int) -> str:
    return _NUMBERS[count] if count < len(_NUMBERS) else str(count)


def _join(names: list[str]) -> str:
    return " and ".join(names) if len(names) < 3 else f"{', '.join(names[:-1])} and {names[-1]}"
