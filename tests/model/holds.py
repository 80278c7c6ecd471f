"""What must hold, whatever happens: after every step, and more once the program is quiet."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from bot.domain.draft_states import BUSY
from bot.store.examining import examined
from bot.store.opening import data_at
from tests.model.wires import Post
from tests.model.world import APPROVERS, World, waits
from tests.model.writer import shown_reply, tokens

APPROVALS = ("draft.approved", "draft.edited")
EVENT_JOBS = ("look", "answer", "note")
CLOSED = ("superseded", "expired")
SECRETS = ("ANTHROPIC_API_KEY", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN", "JIRA_WEBHOOK_SECRET", "BITBUCKET_WEBHOOK_SECRET",
           "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "JIRA_AUTOMATION_TOKEN")  # fmt: skip


def always(world: World) -> None:
    """After every step."""
    books = world.books
    books.read()  # the trail only grows, and verifies
    assert not world.wires.broken, world.wires.broken
    known = books["webhook_events"]
    missing = [event_id for event_id in world.events if event_id not in known]
    assert not missing, f"accepted and not in the store: {missing}"
    marked = [post.marker.get("draft_id") for post in world.wires.posts]
    assert len(marked) == len(set(marked)), f"a draft was posted twice: {sorted(map(str, marked))}"
    wishes = {(w.user, w.draft_id, w.words) for w in world.wishes}
    for post in world.wires.posts[world.wires.checked :]:
        was_approved(world, post, wishes)
    world.wires.checked = len(world.wires.posts)
    cards = [str(m.metadata["event_payload"]["draft_id"]) for m in _messages(world, "pmagent_draft")]
    assert len(cards) == len(set(cards)), f"a draft has two cards: {sorted(cards)}"
    within_budget(world)


def was_approved(world: World, post: Post, wishes: set[tuple[str, str, tuple[str, ...]]]) -> None:
    """No comment without a stored approval, by an allowed person, of exactly that text, in production."""
    marker, draft = post.marker, world.books["drafts"].get(str(post.marker.get("draft_id")))
    assert draft is not None, f"a comment without a draft: {marker}"
    texts = [r["text"] for r in draft["revisions"] if _sha256(r["text"]) == marker["sha256"]]
    assert texts, f"{marker['draft_id']}: no revision has the marker's hash"
    assert tokens(texts[0]) == tokens(post.text), f"{marker['draft_id']}: Jira got other words: {post.text!r}"
    approvals = [r for r in post.trail if r["action"] in APPROVALS]
    assert approvals, f"{marker['draft_id']} was posted without a stored approval"
    last = approvals[-1]
    assert last["actor"] == f"slack:{marker['approved_by']}", f"{last['actor']} approved: {marker}"
    assert marker["approved_by"] in APPROVERS, f"{marker['approved_by']} may not approve"
    assert last["details"]["sha256"] == marker["sha256"], "another wording was approved"
    wish = (marker["approved_by"], marker["draft_id"], tuple(tokens(texts[0])))
    assert wish in wishes, f"nobody asked for this: {wish}"
    assert post.mode == "production", f"{marker['draft_id']} was posted in {post.mode}"


def within_budget(world: World) -> None:
    """Spend ≤ budget + one call, and no call is missing from the books."""
    days = [r for name, r in world.books["state"].items() if name.startswith("spend:")]
    booked = [r["usd"] + sum(r["reserved"].values()) for r in days]
    highest = max([world.budget, 10.0 if world.budget >= 10 else world.budget])
    assert all(usd <= highest + world.claude.dearest + 1e-6 for usd in booked), f"{booked} over ${highest}"
    assert world.claude.spent <= sum(booked) + 1e-6, f"${world.claude.spent} went, ${sum(booked)} is in the books"


def unsettled(world: World, *, strict: bool = False) -> list[str]:
    """What still has to happen by itself. Empty: it is quiet. `strict`: nothing may wait for anything."""
    books = world.books
    found = [f"{d['id']} {d['state']}" for d in books["drafts"].values() if d["state"] in BUSY]
    found += [f"card of {d['id']}" for d in books["drafts"].values() if d["card"]["shown"] < d["version"]]
    found += [f"message {m['id']}" for m in books["messages"].values() if m["pending"]]
    reason = "" if strict else waits(books)
    if not reason:
        found += [f"event {e['id']}" for e in books["webhook_events"].values() if e["state"] == "received"]
    # Whatever waits has a job, or nothing would find it after a crash; and what has ended leaves none.
    jobs = books["jobs"]
    working = {job["key"] for job in jobs.values()}
    received = {e["id"] for e in books["webhook_events"].values() if e["state"] == "received"}
    assert received <= working, f"received, without a job: {received - working}"
    found += [f"job {name}" for name, job in jobs.items() if job["kind"] in EVENT_JOBS and job["key"] not in received]
    found += [f"job {name}" for name, job in jobs.items() if job["kind"] in ("card", "message", "redraw")]
    current = books["state"]["mode"]["mode"] if "mode" in books["state"] else "production"
    found += [
        f"mode of {d['id']}" for d in books["drafts"].values()
        if d["state"] in ("waiting", "held") and d["mode"] != current
    ]  # fmt: skip
    return found


async def quiet(world: World, *, strict: bool = False, seconds: float = 45.0) -> None:
    """Wait until nothing is left to do by itself, and look at every story."""
    for standin in world.stage.standins:
        standin.mend()
    await world.reins.arm("")

    def settled() -> bool:
        if unsettled(world, strict=strict):
            return False
        always(world)  # which reads the books again: a click that was under way may have been written meanwhile
        return not unsettled(world, strict=strict)

    found = await world.until(settled, seconds)
    assert found, f"it does not settle: {unsettled(world, strict=strict)}\n{world.stage.log[-4000:]}"
    stories(world)
    cards(world)


def stories(world: World) -> None:
    """Every accepted event has one story."""
    books = world.books
    cycles: dict[str, list[dict[str, Any]]] = {}
    for cycle in books["agent_cycles"].values():
        cycles.setdefault(cycle["event_id"], []).append(cycle)
    drafts: dict[str, list[str]] = {}
    for draft in books["drafts"].values():
        drafts.setdefault(draft["event_id"], []).append(draft["id"])
    for event in books["webhook_events"].values():
        mine = cycles.get(event["id"], [])
        failures = [c for c in mine if c["outcome"] == "failure"]
        ends = [c for c in mine if c["outcome"] != "failure"]
        assert len(failures) == event["attempts"], f"{event['id']}: {len(failures)} failures, {event['attempts']} tries"
        assert len(ends) == (event["state"] == "done"), f"{event['id']} is {event['state']}: {len(ends)} ends"
        assert drafts.get(event["id"], []) == [c["draft_id"] for c in ends if c["outcome"] == "draft"], event["id"]
        for end in ends:
            assert end["outcome"] == "draft" or end["reason"], f"{event['id']} ended without a reason"
    for key in {d["issue_key"] for d in books["drafts"].values()}:
        waiting = [
            (d["id"], d["state"], d["version"], [x["action"] for x in d["decided"]])
            for d in books.of("drafts", issue_key=key) if d["state"] in ("waiting", "held")
        ]  # fmt: skip
        assert len(waiting) <= 1, f"two drafts wait on {key}: {waiting}"
    posted = {post.comment_id: post for post in world.wires.posts}
    for draft in books["drafts"].values():
        if draft["state"] in ("posted", "undone"):
            found = posted.get(draft["posted"]["comment_id"])
            marked = found.marker["draft_id"] if found else None
            assert marked == draft["id"], f"{draft['id']} is {draft['state']}, not in Jira"
        if draft["state"] == "undone":
            left = [c.id for issue in world.stage.jira.issues.values() for c in issue.comments]
            assert draft["posted"]["comment_id"] not in left, f"{draft['id']} was undone and is still there"
        if draft["state"] in ("simulated", "skipped", "superseded", "expired"):
            assert not [p for p in world.wires.posts if p.marker["draft_id"] == draft["id"]], (
                f"{draft['id']} is {draft['state']} and was posted"
            )


def cards(world: World) -> None:
    """Every draft has its one card, which shows exactly its words and what can be done; every notice was said once."""
    shown = {str(m.metadata["event_payload"]["draft_id"]): m for m in _messages(world, "pmagent_draft")}
    for draft in world.books["drafts"].values():
        card = shown.get(draft["id"])
        if card is None:
            assert draft["state"] in CLOSED, f"{draft['id']} ({draft['state']}) has no card"
            continue
        assert card.ts == draft["card"]["ts"], f"{draft['id']}: the card is not the one in the store"
        if draft["state"] in CLOSED:
            continue
        seen = tokens(_texts(shown_reply(card.blocks)))
        assert seen == tokens(draft["revisions"][-1]["text"]), f"{draft['id']}: the card differs"
        assert ("Approve" in card.buttons) == (draft["state"] == "waiting"), f"{draft['id']}: {card.buttons}"
    said = [str(m.metadata["event_payload"]["id"]) for m in _messages(world, "pmagent_message")]
    assert len(said) == len(set(said)), f"a notice was said twice: {sorted(said)}"
    silent = [m for m in world.books["messages"].values() if m["id"] not in said]
    assert not silent, f"a notice was never said: {silent}"


def no_secrets(world: World) -> None:
    """No secret anywhere that people or disks see."""
    seen = {
        "output": world.stage.log,
        "store": b"".join(p.read_bytes() for p in world.stage.data.glob("pm_agent.db*")).decode("utf-8", "replace"),
        "books": json.dumps(world.books.tables),
        "Slack": json.dumps([[m.payload, *m.versions] for m in world.stage.slack.log]),
        "whispers": json.dumps([[w.text, w.blocks] for w in world.stage.slack.private]),
        "Claude": json.dumps(world.claude.requests),
    }
    for name in SECRETS:
        for place, text in seen.items():
            assert world.stage.env[name] not in text, f"{name} stands in {place}"


def whole(world: World) -> None:
    """The closed store opens, and its trail verifies, with the texts that are there."""
    with data_at(world.stage.data, world.url or None).snapshot() as snapshot:
        verdict = examined(snapshot).verdict
    assert verdict.broken_at is None, str(verdict)


def _messages(world: World, event_type: str) -> list[Any]:
    return [m for m in world.stage.slack.messages() if m.metadata.get("event_type") == event_type]


def _texts(value: Any) -> str:
    if isinstance(value, dict):
        own = f" {value['text']}" if isinstance(value.get("text"), str) else ""
        return own + " ".join(_texts(inner) for inner in value.values() if isinstance(inner, dict | list))
    return " ".join(_texts(item) for item in value) if isinstance(value, list) else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
