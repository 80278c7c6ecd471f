"""Claude: one call at a time is reserved, made under an absolute deadline, recorded and settled. No tools, no stream.

The SDK's own retries are off (`max_retries=0`). Each retry would be one more billed attempt under one reservation, and
it obeys `retry-after` without a bound; the queue is the one place that waits and tries again. Importing this module
does not import the SDK (1.7 s).
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.clients.claude.errors import ClaudeBusy, ClaudeDown, Unanswerable, status_error
from bot.clients.claude.pause import Pause
from bot.clients.claude.read import Answer, read_answer
from bot.clients.responses import retry_after
from bot.clock import Clock
from bot.domain.leases import Leases
from bot.errors import RetryLater
from bot.failpoints import failpoint
from bot.prompting.requests import Request
from bot.safety import tidy
from bot.settings import Settings
from bot.spending.budget import Budget, Reservation
from bot.spending.prices import highest_cost
from bot.store import Store, StoreUnavailable

if TYPE_CHECKING:
    from anthropic import APIStatusError, AsyncAnthropic

DEADLINE = 60.0
"""Seconds for one call, whatever happens in it (the SDK's timeout is per read: a dripping server outlives it)."""

# Older models that do not know `output_config.effort` and answer 400 to it.
_WITHOUT_EFFORT = ("claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-1", "claude-sonnet-4-0", "claude-3")


@dataclass(frozen=True)
class ModelState:
    """Whether a configured model can be used: for `python -m bot check` and for the probe after an outage."""

    model: str
    ok: bool
    text: str
    error: ClaudeDown | ClaudeBusy | Unanswerable | None = None


class Claude:
    """The port to Claude. One per process; `close` it at the end."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        leases: Leases | None = None,
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """`leases`: those of this process; None: it is alone."""
        self._leases = leases or Leases(clock, alone=True)
        self.budget = Budget(store, settings, clock, self._leases)
        self._settings = settings
        self._clock = clock
        self._deadline = deadline
        self._client: AsyncAnthropic | None = None
        self._pause = Pause(store, clock, self._leases)

    async def start(self) -> None:
        """Load the SDK, in a thread. Optional: without it the first call pays for it, two seconds or so."""
        await asyncio.to_thread(_load_sdk)
        await self._connect()

    async def ask(self, request: Request) -> Answer:
        """One call.

        Raises `ClaudeDown`, `ClaudeBusy`, `BudgetReached`, `BudgetReserved`, `Unanswerable`, `StoreUnavailable`. A stop
        reason other than `end_turn` is an answer here; `bot.workflow.drafting.asking` says what it means.
        """
        await self._pause.respect()
        client, arguments = await self._prepare(request)
        prompt = f"{request.system}{request.message}{arguments['output_config']}"
        reservation = await self.budget.reserve(highest_cost(request.model, prompt, request.max_tokens))
        started = self._clock.monotonic()
        failpoint("claude.before_call")
        try:
            message, request_id = await self._send(client, request.model, arguments)
        except (ClaudeDown, ClaudeBusy, Unanswerable) as error:
            await self._not_answered(reservation, error)
            await self._pause.share()
            raise
        except BaseException:  # cancelled at shutdown, or a bug: whether it was billed is unknown
            self.budget.keep(reservation)
            raise
        ms = round((self._clock.monotonic() - started) * 1000)
        answer = read_answer(request, message, request_id, ms)
        failpoint("claude.after_call")
        # If that fails now the reservation stays, which is more than the cost: the answer is paid for and good.
        with contextlib.suppress(StoreUnavailable, RetryLater):
            await self.budget.charge(reservation, answer.call.cost_usd)
        return answer

    async def models(self) -> tuple[ModelState, ...]:
        """Whether key and configured models are good, by GET /v1/models/{id}: free, no token is used."""
        names = dict.fromkeys((self._settings.pmagent_triage_model, self._settings.pmagent_model))
        return tuple(await asyncio.gather(*map(self._model, names)))

    async def probe(self) -> None:
        """A free look whether Claude answers again. Raises `ClaudeDown` or `ClaudeBusy` while it does not."""
        await self._pause.respect()
        await self._look_up(self._settings.pmagent_model)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _model(self, name: str) -> ModelState:
        try:
            info = await self._look_up(name)
        except (ClaudeDown, ClaudeBusy, Unanswerable) as error:
            return ModelState(name, False, error.reason, error)
        life = getattr(info, "lifecycle", None)
        if life == "retired":
            return ModelState(name, False, f"{name} is retired: choose a newer model")
        ends = getattr(info, "retires_at", None)
        return ModelState(name, True, f"can be used; it retires on {ends:%Y-%m-%d}" if ends else "can be used")

    async def _look_up(self, name: str) -> Any:
        client = await self._connect()
        info = await self._guarded(client.models.retrieve(name), name, min(15.0, self._deadline))
        if not getattr(info, "id", None):  # of a page of HTML the SDK makes a text
            raise ClaudeDown("server", "what answers at Claude's address is not Claude", nothing_sent=False)
        return info

    async def _connect(self) -> AsyncAnthropic:
        if self._client is None:
            # In a thread: loading takes a second or two, and clicks have to be answered meanwhile.
            await asyncio.to_thread(_load_sdk)
        if self._client is None:  # nobody else made it meanwhile
            from anthropic import AsyncAnthropic

            self._client = AsyncAnthropic(
                api_key=self._settings.anthropic_api_key.get_secret_value(),
                base_url=self._settings.anthropic_base_url,
                max_retries=0,
                timeout=self._deadline,
            )
        return self._client

    async def _prepare(self, request: Request) -> tuple[AsyncAnthropic, dict[str, Any]]:
        client = await self._connect()
        from anthropic import transform_schema

        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": transform_schema(request.answer)}}
        if not request.model.startswith(_WITHOUT_EFFORT):
            output["effort"] = request.effort
        return client, {
            "model": request.model,
            "max_tokens": request.max_tokens,
            # Never padded to be cached: below the model's minimum (1,024 tokens on the Sonnet line, up to 4,096 on
            # older Haiku) it simply costs the full price, which `cache_read_tokens` in the records shows.
            "system": [{"type": "text", "text": request.system, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": request.message}],
            "output_config": output,
        }

    async def _send(self, client: AsyncAnthropic, model: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The answer as Claude sent it, and the request's id.

        The SDK's `Message` is not made of it: it is not validated either, and pydantic would build and keep schemas of
        every kind of block that there is (0.9 MiB) for the one that we read.
        """

        async def call() -> tuple[Any, str]:
            raw = await client.messages.with_raw_response.create(**arguments)
            return await raw.json(), raw.headers.get("request-id", "")

        message, request_id = await self._guarded(call(), model, self._deadline)
        said = message if isinstance(message, dict) else {}
        if not isinstance(said.get("content"), list) or not isinstance(said.get("stop_reason"), str):
            raise ClaudeDown("server", "what answered at ANTHROPIC_BASE_URL is not Claude", nothing_sent=False)
        return said, request_id

    async def _guarded(self, call: Any, model: str, seconds: float) -> Any:
        """Await an SDK call under a deadline; its errors become ours."""
        import anthropic

        try:
            async with asyncio.timeout(seconds):
                return await call
        except (TimeoutError, anthropic.APITimeoutError) as error:
            sent = not _never_connected(error)
            raise ClaudeDown("timeout", f"Claude did not answer within {seconds:g} s", nothing_sent=not sent) from None
        except anthropic.APIStatusError as error:
            raise self._status(error, model) from None
        except anthropic.APIConnectionError as error:
            refused = _never_connected(error)
            how = "cannot be reached" if refused else "broke off the connection"
            raise ClaudeDown("unreachable", f"Claude {how}", nothing_sent=refused) from None
        except (anthropic.AnthropicError, ValueError, RecursionError):
            # A 200 whose body is no JSON, not of the expected shape, or nested without end.
            raise ClaudeDown("server", "Claude's answer could not be read", nothing_sent=False) from None

    def _status(self, error: APIStatusError, model: str) -> ClaudeDown | ClaudeBusy | Unanswerable:
        after = retry_after(error.response.headers.get("retry-after"), self._clock.now())
        message = tidy(error.api_message) if isinstance(error.api_message, str) else ""
        found = status_error(error.status_code, str(error.type or ""), error.error_code or "", message, model, after)
        if isinstance(found, ClaudeBusy) or (isinstance(found, ClaudeDown) and after is not None):
            self._pause.lengthen(found.after or 0.0)
        return found

    async def _not_answered(self, reservation: Reservation, error: ClaudeDown | ClaudeBusy | Unanswerable) -> None:
        if isinstance(error, ClaudeDown) and not error.nothing_sent:
            self.budget.keep(reservation)
            return
        with contextlib.suppress(StoreUnavailable):
            await self.budget.release(reservation)


def _load_sdk() -> None:
    """Import what a call needs: the SDK loads its resources, its types and its HTTP client when it first uses them."""
    import anthropic
    import anthropic.resources.messages

    del anthropic
    for name in ("anyio.streams.tls", "anyio._backends._asyncio", "h11"):
        with contextlib.suppress(ImportError):  # the client's own affair: another release may do without
            importlib.import_module(name)


def _never_connected(error: BaseException) -> bool:
    """Whether the request never left: the connection was refused, or could not be made in time."""
    import httpx2

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
            return True
        seen = seen.__cause__
    return False
