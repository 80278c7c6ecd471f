"""Records of every kind, as old as a test wants them: what an archive run finds in a data folder."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.store import Audit, Put
from bot.store.tiny import TinyStore

NAMES = {"712020:ana": "Ana Ruiz", "712020:ben": "Ben Okafor"}
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def story(store: TinyStore, name: str, at: datetime, state: str = "posted", *, author: str = "712020:ana") -> None:
    """An event with a draft in this state (`received`, `silence`: without one), a minute to the draft and to the click.

    The store's clock is put to `at`.
    """
    clock = store.engine.clock
    assert isinstance(clock, Clock)
    clock.at = at
    event_id, draft_id, start, end = (
        f"evt_{name}",
        f"drf_{name}",
        at.isoformat(),
        (at + timedelta(minutes=1)).isoformat(),
    )
    who = {"account_id": author, "name": NAMES[author]}
    event = {
        "id": event_id, "event_id": event_id, "at": start, "state": "received" if state == "received" else "done",
        "issue": f"ECD-{name}", "source": "jira", "kind": "issue_commented", "keys": [f"jira:delivery:{name}"],
        "event": {"comment": {"text": f"a question by {author}", "author": who}},
        "reason": "draft",
    }  # fmt: skip
    audit = [Audit(f"jira:{author}", "event.accepted", event_id, None, event["issue"])]
    changes = [Put("webhook_events", event)]
    if state == "silence":
        changes.append(Put("agent_cycles", cycle(name, start, "silence", None)))
        audit.append(Audit("system", "cycle.silence", event_id))
    elif state != "received":
        decided = state not in ("waiting", "failed")
        decision = {"action": "approve", "by": "U1", "name": "Dana", "at": (at + timedelta(minutes=2)).isoformat()}
        draft: dict[str, Any] = {
            "id": draft_id, "event_id": event_id, "cycle_id": f"cyc_{name}", "at": end, "created": end, "state": state,
            "issue_key": event["issue"], "open": state in ("waiting", "failed"), "decided": [],
            "decision": decision if decided else None, "revisions": [{"text": f"an answer to {author}"}],
        }  # fmt: skip
        changes += [Put("agent_cycles", {**cycle(name, start, "draft", draft_id), "ended": end}), Put("drafts", draft)]
        audit.append(Audit("system", "draft.created", event_id, draft_id))
        audit += [Audit("slack:U1", f"draft.{state}", event_id, draft_id)] * (1 if decided else 0)
    store.commit_now(*changes, audit=audit)


def cycle(name: str, at: str, outcome: str, draft_id: str | None) -> dict[str, Any]:
    return {
        "id": f"cyc_{name}", "event_id": f"evt_{name}", "at": at, "ended": at, "issue": f"ECD-{name}",
        "outcome": outcome, "reason": "", "reasoning": "", "calls": [], "cost_usd": 0.0, "draft_id": draft_id,
    }  # fmt: skip


def small_tables(store: TinyStore, at: datetime) -> None:
    """Records of the tables that are not exported: of each kind one that may go and one that may not."""
    when = at.isoformat()
    store.commit_now(
        Put("messages", {"id": "msg_done", "at": when, "pending": False, "ts": "1.2", "text": "a notice"}),
        Put("messages", {"id": "msg_waits", "at": when, "pending": True, "ts": None, "text": "a notice"}),
        Put("development", {"id": "r#1", "at": when, "type": "pull_request", "state": "MERGED", "keys": ["ECD-1"]}),
        Put("development", {"id": "r#2", "at": when, "type": "pull_request", "state": "OPEN", "keys": ["ECD-1"]}),
        Put("development", {"id": "r:b", "at": when, "type": "branch", "keys": ["ECD-1"]}),
        Put("keys", {"id": "jira:delivery:1", "at": when, "event_id": "evt_1"}),
        Put("keys", {"id": f"schedule:standup:{at:%Y-%m-%d}", "at": when, "state": "done"}),
        Put("state", {"id": f"spend:{at:%Y-%m-%d}", "at": when, "calls": 3, "usd": 0.25}),
        Put("state", {"id": "mode", "at": when, "mode": "production"}),
    )
