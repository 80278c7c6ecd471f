"""Webhooks in the recorded fixtures' proportions: which of them cost a call to Claude, and is its prefix cached?

    python -m tests.bench.mixed [--webhooks 1000]

Each is made of a recorded payload (other issue, comment, time), and the stand-ins know the issue and the comment that
it is about. Whether a rule can settle a payload is written down here, payload by payload, not read from the program.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.demo.jira.world import JiraComment
from bot.demo.stage import Stage
from tests.bench.load_generator import at_full_speed
from tests.bench.material import THEIRS, Webhook, read, recorded, varied
from tests.bench.report import Row, table

NEED_CLAUDE = frozenset({
    "comment_created", "comment_created__adf_body", "comment_created__mention", "comment_created__modern_user",
    "comment_created__service_desk_internal", "comment_updated",
})  # fmt: skip
"""The recorded payloads that no rule can settle: a person wrote words, and whether they want an answer is a judgement.

All others are fields that changed, an issue that asks nothing, a comment that was deleted or that an app wrote, pushes,
builds and pull requests.
"""
TEXTS = ("Is anybody looking at this?", "Thanks, that helps.", "Deployed to staging.")
"""What people wrote, as Jira has it: the stand-in for Claude answers the first."""


@dataclass
class Result:
    """What came of it. `calls`: the records of all calls, in order; `called`: the payloads' names that led to one."""

    sent: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    calls: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    @property
    def needless(self) -> Counter[str]:
        """Calls for what a rule settles, by payload."""
        return Counter({name: n for name, n in self.called.items() if name not in NEED_CLAUDE})

    def cache(self) -> dict[str, tuple[int, int, int]]:
        """By purpose: calls, calls that read the whole prefix from the cache, tokens of the prefix."""
        by_prefix: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for call in self.calls:
            by_prefix[f"{call['purpose']} ({call['model']})"].append(call)
        found = {}
        for name, calls in by_prefix.items():
            prefix = max(max(c["cache_write_tokens"], c["cache_read_tokens"]) for c in calls)
            whole = sum(c["cache_read_tokens"] == prefix > 0 and not c["cache_write_tokens"] for c in calls)
            found[name] = (len(calls), whole, prefix)
        return found


def mixture(folder: Path, webhooks: int) -> list[Webhook]:
    """So many, of each recorded payload alike, in turn."""
    names = recorded(folder)
    payloads = {key: read(folder, *key) for key in names}
    return [varied(*key, payloads[key], n + 1) for n, key in zip(range(webhooks), names * webhooks, strict=False)]


async def measure(stage: Stage, webhooks: list[Webhook]) -> Result:
    """Send them all and wait for their ends."""
    result = Result(sent=Counter(hook.name for hook in webhooks))
    by_issue = {hook.issue: hook.name for hook in webhooks if hook.source == "jira"}
    for number, hook in enumerate(webhooks):
        _known(stage, hook, TEXTS[number % len(TEXTS)])
    stage.env |= {"PMAGENT_RATE_LIMIT": "", "PMAGENT_DAILY_BUDGET_USD": "1000"}
    await stage.start_bot()
    secrets = {"jira": stage.jira.secret, "bitbucket": stage.bitbucket.secret}
    sent = await at_full_speed(stage.bot_port, [hook.wire(secrets) for hook in webhooks], 8)
    result.statuses = sent.statuses
    await _settled(stage)
    for record in await _export(stage, "agent_cycles"):
        result.ends[f"{record['outcome']}: {record['reason']}".removesuffix(": ")] += 1
        if record["calls"]:
            result.called[by_issue.get(record["issue"], record["issue"])] += 1
            result.calls += record["calls"]
    result.requests = len(stage.claude.requests)
    return result


def _known(stage: Stage, hook: Webhook, words: str) -> None:
    """Jira has the issue, and the comment as a person's: a rule that failed would cost a call."""
    if hook.source != "jira" or not hook.issue:
        return
    stage.jira.issue(hook.issue, status="In Progress", assignee="ana")
    if hook.comment:
        written: JiraComment = stage.jira.write(hook.issue, "ben", words)
        written.id = str(hook.comment["id"])


async def _settled(stage: Stage) -> None:
    """Nothing is `received` any more."""
    while True:
        events = await _export(stage, "webhook_events")
        if not any(event["state"] == "received" for event in events):
            return
        await asyncio.sleep(0.5)


async def _export(stage: Stage, name: str) -> list[dict[str, Any]]:
    code, out = await stage.run("export", name)
    assert code == 0, out
    return [json.loads(line) for line in out.splitlines()]


async def run(webhooks: int) -> Result:
    async with Stage() as stage:
        return await measure(stage, mixture(THEIRS, webhooks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--webhooks", type=int, default=1000)
    given = parser.parse_args()
    if not THEIRS.exists():
        raise SystemExit(f"The recorded payloads are not there: {THEIRS.name}")
    result = asyncio.run(run(given.webhooks))
    print(f"answers by status: {dict(result.statuses)}")
    print("\n".join(f"{n:6}  {end}" for end, n in result.ends.most_common()))
    judged = sum(n for name, n in result.sent.items() if name in NEED_CLAUDE)
    rows = [
        Row("webhooks that a rule can settle", given.webhooks - judged, ""),
        Row("calls for those", sum(result.needless.values()), "", 0),
        Row("webhooks that need a judgement", judged, ""),
        Row("calls to Claude in all", result.requests, ""),
    ]
    for name, (calls, whole, prefix) in result.cache().items():
        rows.append(Row(f"{name}: prefix", prefix, "tokens"))
        rows.append(Row("  calls after the first, from the cache", whole, "", calls - 1, at_least=True))
    raise SystemExit(0 if table(f"{given.webhooks:,} mixed webhooks", rows) else 1)


if __name__ == "__main__":
    main()
