"""Runs situations through the real program, and collects what it and the model made of each."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.demo.process import BotFailed, start
from bot.demo.stage import Stage
from bot.errors import UserError
from bot.evals.recorder import RecordedCall, Recorder
from bot.evals.situation import NOW, Situation
from bot.evals.staging import happen, put
from bot.store import Record
from bot.store.opening import data_at

CONCURRENCY = 8
"""Situations at work at the same time: as many as the program asks Claude about at once."""
LOOK_EVERY = 0.2
TIMEOUT = 180.0
"""Seconds for one situation: two calls, each asked for a second time."""


@dataclass(frozen=True)
class SituationOutcome:
    """What became of a situation. `decided`: `draft`, `silence` or `failure`, with its `reason`.

    `text`: the words of the `draft`. `calls`: the questions to the model, in order. `cost`: US dollars, by the
    program's own account. `seconds`: of all calls together.
    """

    situation: Situation
    decided: str
    reason: str = ""
    text: str = ""
    confidence: float | None = None
    draft: Record | None = None
    calls: tuple[RecordedCall, ...] = ()
    cost: float = 0.0

    @property
    def seconds(self) -> float:
        return sum(call.seconds for call in self.calls)

    @property
    def unsupported(self) -> tuple[str, ...]:
        """What the card marks: words for which nothing in the data stands, and statements that it contradicts."""
        if self.draft is None:
            return ()
        return (*(f"“{words}” is not in the data" for words in self.draft["unsupported"]), *self.draft["doubts"])


async def run_situations(
    situations: Sequence[Situation], *, upstream: str, key: str, prompts: Path,
    told: Callable[[SituationOutcome], None],
    settings: dict[str, str] | None = None, starter: Any = start,
) -> list[SituationOutcome]:  # fmt: skip
    """Every situation's outcome, in order. `upstream`, `key`: the model. `prompts`: an absolute path.

    `told`: hears of each outcome as it is known. `settings`: names and values for the program, besides those
    of the stage. Raises `UserError` when the program does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="pm-agent-evals-"))
    stage, recorder = Stage(folder=folder, starter=starter), Recorder(upstream)
    stage.server.mount("/model/", recorder.application())
    stage.program = "bot.evals.program"
    gate = asyncio.Semaphore(CONCURRENCY)
    try:
        await stage.open()
        desks = sorted({s.issue.key.rpartition("-")[0] for s in situations if s.public_replies})
        # The addresses of a site as it would be: the model reads them, and they are the same in every run.
        stage.bitbucket.base = "https://bitbucket.org"
        stage.env |= {
            "JIRA_URL": "https://example.atlassian.net", "ATLASSIAN_CLOUD_ID": stage.jira.cloud_id,
            "ATLASSIAN_API_URL": f"{stage.server.url}/jira",
            "ANTHROPIC_API_KEY": key, "ANTHROPIC_BASE_URL": f"{stage.server.url}/model",
            "JIRA_AUTOMATION_TOKEN": secrets.token_hex(16), "JIRA_PUBLIC_REPLIES": ",".join(desks),
            "PMAGENT_MODE": "simulation", **(settings or {}),
        }  # fmt: skip
        await stage.start_bot(NOW.isoformat(), str(prompts))

        async def one(situation: Situation) -> SituationOutcome:
            async with gate:
                await put(stage, situation)
                outcome = await _outcome(stage, recorder, situation, await happen(stage, situation))
            told(outcome)
            return outcome

        return list(await asyncio.gather(*map(one, situations)))
    except BotFailed as error:
        raise UserError(str(error)) from None
    finally:
        await stage.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _outcome(stage: Stage, recorder: Recorder, situation: Situation, event_id: str) -> SituationOutcome:
    for _ in range(round(TIMEOUT / LOOK_EVERY)):
        if cycle := await asyncio.to_thread(_cycle, stage.data, event_id):
            break
        await asyncio.sleep(LOOK_EVERY)
    else:
        return SituationOutcome(situation, "failure", f"nothing was decided within {TIMEOUT:g} seconds")
    record, draft = cycle
    calls = tuple(call for call in recorder.asked if call.key == situation.issue.key)
    return SituationOutcome(
        situation, record["outcome"], record.get("reasoning") or record.get("reason") or "",
        draft["revisions"][0]["text"] if draft else "", record.get("confidence"), draft, calls,
        record.get("cost_usd") or 0.0,
    )  # fmt: skip


def _cycle(folder: Path, event_id: str) -> tuple[Record, Record | None] | None:
    """How the event ended, as the program recorded it, and its draft; None as long as it goes on."""
    with data_at(folder, None).snapshot() as snapshot:
        for cycle in snapshot.find("agent_cycles", event_id=event_id):
            if cycle.get("outcome"):
                return cycle, snapshot.get("drafts", cycle["draft_id"]) if cycle.get("draft_id") else None
    return None
