"""Asks Claude about decided events once more, under other prompts. Nothing else happens: no card, no comment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.clients.claude.errors import ClaudeBusy, ClaudeDown, Unanswerable
from bot.evals.decided import Decided
from bot.markup import Known
from bot.prompting import Prompts, ReplyDecision, as_reply, stored_request
from bot.settings import Settings
from bot.spending.budget import BudgetReached, BudgetReserved
from bot.workflow.drafting.asking import AskedClaude, AsksClaude, decide_with

CONCURRENCY = 4
BUSY_TRIES, BUSY_WAIT = 5, 20.0
"""How often, and after at most how many seconds, a call is made again while Claude is busy."""
STOPPED = "stopped: "
"""How the problem begins after which nothing more is asked."""


@dataclass(frozen=True)
class Replayed:
    """What these prompts make of an event. `decision` None: `problem` says why there is none."""

    event: Decided
    decision: ReplyDecision | None
    cost: float = 0.0
    problem: str = ""

    @property
    def text(self) -> str:
        return self.decision.response_text if self.decision and self.decision.should_respond else ""

    @property
    def flipped(self) -> bool:
        """Whether a reply would have been drafted where there was silence, or the other way."""
        return self.decision is not None and bool(self.text) != bool(self.event.drafted)


async def replay(
    claude: AsksClaude, settings: Settings, prompts: Prompts, events: Sequence[Decided], told: Callable[[], None]
) -> list[Replayed]:
    """What becomes of each event, in order. `told` is called as each is done.

    Ends early, with what is known until then, when the day's budget is spent or Claude is down: the last one's
    `problem` says so.
    """
    gate, over = asyncio.Semaphore(CONCURRENCY), asyncio.Event()

    async def one(event: Decided) -> Replayed | None:
        async with gate:
            if over.is_set():
                return None
            found = await _one(claude, settings, prompts, event)
            if found.decision is None and found.problem.startswith(STOPPED):
                over.set()
            told()
            return found

    return [found for found in await asyncio.gather(*map(one, events)) if found is not None]


async def _one(claude: AsksClaude, settings: Settings, prompts: Prompts, event: Decided) -> Replayed:
    cost = 0.0
    try:
        for message in _messages(event):
            asked = await _asked(claude, settings, prompts, message)
            cost += asked.cost_usd
            decision = asked.decision
            if not decision.should_respond:
                break
    except (BudgetReached, ClaudeDown, ClaudeBusy, BudgetReserved) as error:
        return Replayed(event, None, cost + sum(call.cost_usd for call in error.calls), f"{STOPPED}{error.reason}")
    except Unanswerable as error:
        return Replayed(event, None, cost + sum(call.cost_usd for call in error.calls), error.reason)
    return Replayed(event, decision, cost)


def _messages(event: Decided) -> list[str]:
    """What Claude is shown, in order: the triage's, where there was one, and the reply's."""
    triage, reply = event.messages.get("triage"), event.messages.get("reply")
    if triage is None:
        return [reply] if reply else []
    return [triage, reply or as_reply(triage)]


async def _asked(claude: AsksClaude, settings: Settings, prompts: Prompts, message: str) -> AskedClaude:
    request = stored_request(prompts, settings, message)
    known = Known(urlsplit(settings.site).netloc, frozenset())
    for _ in range(BUSY_TRIES - 1):
        try:
            return await decide_with(claude, request, known)
        except (ClaudeBusy, BudgetReserved) as error:
            await asyncio.sleep(min(error.after or 1.0, BUSY_WAIT))
    return await decide_with(claude, request, known)
