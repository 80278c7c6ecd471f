"""The client against the stand-in over HTTP: one call, its record and its money; failures in words; asking twice."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.clients.claude.client import Claude
from bot.clients.claude.errors import ClaudeBusy, ClaudeDown, Unanswerable
from bot.clock import SystemClock
from bot.demo.claude.stand_in import Special
from bot.demo.wire import Fault
from bot.errors import RetryLater
from bot.markup import Known
from bot.prompting import Request, load_prompts, reply_request, triage_request
from bot.spending.budget import BudgetReached, BudgetReserved
from bot.store.embedded.store import TinyStore
from bot.workflow.drafting.asking import ask_claude, decide_with
from tests.asking_material import Line, line, material, settings

PROMPTS = load_prompts()
YES = {"should_respond": True, "reasoning": "asked", "response_text": "Ana has it.", "confidence": 0.9}
NO = {**YES, "should_respond": False, "response_text": ""}
NOBODY = Known(site_host="", addresses=frozenset())


def reply(on: Line) -> Request:
    return reply_request(PROMPTS, on.settings, material())


USAGE_LIMIT = "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."


def error(status: int, kind: str = "api_error", message: str = "no", code: str = "", **headers: str) -> Fault:
    details = {"details": {"error_code": code}} if code else {}
    body = {"type": "error", "error": {"type": kind, "message": message, **details}}
    return Fault("answer", status=status, headers=headers, body=body)


async def spend(on: Line) -> dict[str, Any]:
    return await on.store.get("state", f"spend:{on.claude.budget.day()}") or {}


# --- one call ---------------------------------------------------------------------------------------------------------


async def test_a_call_is_bounded_cached_and_recorded(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        first = await on.claude.ask(reply(on))
        second = await on.claude.ask(reply(on))
        body = on.standin.requests[0]
        assert body["output_config"]["format"]["type"] == "json_schema"
        assert set(body["output_config"]["format"]["schema"]["required"]) == {
            "should_respond", "reasoning", "response_text", "confidence", "look_twice", "claims",
        }  # fmt: skip
        assert body["output_config"]["effort"] == "medium"
        assert body["max_tokens"] == 8000
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert body.keys() == {"model", "max_tokens", "system", "messages", "output_config"}
        assert json.loads(first.text)["should_respond"] is True  # the thinking block before it was not read
        call = first.call
        assert (call.purpose, call.model, call.stop_reason) == ("reply", "claude-sonnet-5-5", "end_turn")
        assert call.prompt == f"reply@{PROMPTS.versions()['reply']}"
        assert call.request_id.startswith("req_")
        assert call.cache_write_tokens > 1024
        assert second.call.cache_read_tokens == call.cache_write_tokens
        assert second.call.cost_usd < call.cost_usd
        record = await spend(on)
        assert record["usd"] == pytest.approx(call.cost_usd + second.call.cost_usd)
        assert (record["calls"], record["reserved"]) == (2, {})


async def test_a_model_that_knows_no_effort_is_not_sent_one(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_TRIAGE_MODEL="claude-haiku-4-5") as on:
        await on.claude.ask(triage_request(PROMPTS, on.settings, material()))
        assert "effort" not in on.standin.requests[0]["output_config"]


async def test_the_models_of_the_settings_are_checked_for_free(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_MODEL="claude-sonnet-9") as on:
        states = await on.claude.models()
        assert [(s.model, s.ok) for s in states] == [("claude-haiku-5-5", True), ("claude-sonnet-9", False)]
        assert "PMAGENT_MODEL" in states[1].text
        assert await spend(on) == {}
        with pytest.raises(ClaudeDown):
            await on.claude.probe()


def test_importing_the_port_does_not_import_the_sdk() -> None:
    code = "import sys, bot.workflow.drafting.asking, bot.clients.claude.client; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


# --- what can go wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        (error(529, "overloaded_error"), "overloaded", "overloaded (529)"),
        (error(503), "overloaded", "(503)"),
        (error(500), "server", "server error (500)"),
        (error(401, "authentication_error"), "key", "check ANTHROPIC_API_KEY"),
        (error(403, "permission_error"), "key", "permissions"),
        (error(402, "billing_error"), "billing", "Billing"),
        (error(400, "invalid_request_error", "Your credit balance is too low"), "billing", "Billing"),
        (error(404, "not_found_error", "model: claude-sonnet-5-5"), "model", "retired or misspelt"),
        (error(429, "rate_limit_error", code="enforced_spend_limit_reached"), "spend_limit", "spend limit"),
        (error(400, "invalid_request_error", USAGE_LIMIT), "spend_limit", "again on 2026-12-01 at 00:00 UTC"),
        (error(403, "permission_error", USAGE_LIMIT), "spend_limit", "raise it in the Console"),
        (error(429, "rate_limit_error", USAGE_LIMIT), "spend_limit", "usage or spend limit"),
        (error(500, "api_error", USAGE_LIMIT), "spend_limit", "usage or spend limit"),
        (error(400, "invalid_request_error", code="contract_spend_limit_reached"), "spend_limit", "spend limit"),
        (error(400, "budget_exceeded", "Budget has been exceeded! Current cost: 11.2"), "spend_limit", "spend limit"),
        (error(400, "invalid_request_error", "You have exceeded your monthly quota."), "spend_limit", "spend limit"),
        (error(400, "invalid_request_error", "Spending cap reached."), "spend_limit", "spend limit"),
        (error(400, "invalid_request_error", "Your organization exceeded its spend."), "spend_limit", "spend limit"),
        (error(400, "invalid_request_error", "Not allowed from unsupported countries"), "account", "this account"),
        (error(400, "invalid_request_error", "Your account is not authorized to use it."), "account", "not authorized"),
        (error(429, "rate_limit_error", **{"retry-after": "86400"}), "overloaded", "24.0 hours of pause"),
        (error(400, "invalid_request_error", "This organization has been disabled."), "account", "has been disabled"),
        (error(403, "permission_error", "Your account is suspended."), "account", "is suspended"),
        (error(400, "invalid_request_error", "This workspace was archived."), "account", "was archived"),
        (error(400, "invalid_request_error", code="organization_on_hold"), "account", "this account"),
        (error(403, "permission_error", code="cmek_key_disabled"), "account", "this account"),
        (error(403, "permission_error", code="linked_organization_billing_unavailable"), "billing", "Billing"),
        (error(400, "invalid_request_error", "The model claude-x has been retired."), "model", "PMAGENT_MODEL"),
        (error(400, "authentication_error", "invalid x-api-key"), "key", "check ANTHROPIC_API_KEY"),
        (error(400, "overloaded_error"), "overloaded", "overloaded (400)"),
        (Fault("answer", 404, body="<html>nothing here</html>"), "server", "ANTHROPIC_BASE_URL"),
        (Fault("answer", 403, body="<html>blocked</html>"), "server", "is not Claude"),
        (Fault("answer", 400, body={"status": "no"}), "server", "is not Claude"),
    ],
)
async def test_an_outage_has_its_cause_in_words(tmp_path: Path, fault: Fault, kind: str, words: str) -> None:
    async with line(tmp_path) as on:
        on.standin.script(fault)
        with pytest.raises(ClaudeDown) as caught:
            await on.claude.ask(reply(on))
        assert caught.value.kind == kind
        assert words in caught.value.cause
        assert len(on.standin.requests) == 1  # the SDK did not try again by itself
        assert (await spend(on))["reserved"] == {}
        assert await on.claude.budget.spent() == 0


async def test_a_pause_that_was_asked_for_is_kept_by_everybody(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        on.standin.script(error(429, "rate_limit_error", **{"retry-after": "1"}))
        with pytest.raises(ClaudeBusy) as caught:
            await on.claude.ask(reply(on))
        assert caught.value.after == 1
        with pytest.raises(ClaudeBusy) as caught:
            await on.claude.ask(reply(on))
        assert 0 < (caught.value.after or 0) <= 1
        assert len(on.standin.requests) == 1
        await asyncio.sleep(caught.value.after or 0)
        assert (await on.claude.ask(reply(on))).stop_reason == "end_turn"


async def test_a_pause_may_be_a_date(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        until = (on.clock.now() + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        on.standin.script(error(529, "overloaded_error", **{"retry-after": until}))
        with pytest.raises(ClaudeDown) as caught:
            await on.claude.ask(reply(on))
        assert caught.value.after == 90


async def test_a_pause_that_is_over_already_is_none(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        on.standin.script(error(429, "rate_limit_error", **{"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}))
        with pytest.raises(ClaudeBusy) as caught:
            await on.claude.ask(reply(on))
        assert caught.value.after == 0
        assert (await on.claude.ask(reply(on))).stop_reason == "end_turn"


@pytest.mark.parametrize(
    "fault",
    [
        error(400, "invalid_request_error", "messages.0.content: at least one message is required"),
        error(400, "invalid_request_error", "prompt is too long: 1000001 tokens > 1000000 maximum"),
        error(400, "invalid_request_error", code="request_body_encoding_invalid"),
        error(413, "request_too_large", "Request exceeds the maximum size"),
        Fault("answer", 413, body="<html>too large</html>"),
    ],
)
async def test_what_is_wrong_with_one_request_is_no_outage(tmp_path: Path, fault: Fault) -> None:
    async with line(tmp_path) as on:
        on.standin.script(fault)
        with pytest.raises(Unanswerable):
            await on.claude.ask(reply(on))


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_request_that_is_not_accepted_is_not_repeated(tmp_path: Path, status: int) -> None:
    async with line(tmp_path) as on:
        on.standin.script(error(status, "invalid_request_error", "prompt is too long"))
        with pytest.raises(Unanswerable) as caught:
            await decide_with(on.claude, reply(on), NOBODY)
        assert str(status) in caught.value.reason
        assert len(on.standin.requests) == 1


async def test_the_deadline_is_absolute(tmp_path: Path) -> None:
    async with line(tmp_path, deadline=0.4) as on:
        on.standin.delay = 5
        started = time.monotonic()
        with pytest.raises(ClaudeDown, match=r"did not answer within 0.4 s"):
            await on.claude.ask(reply(on))
        assert time.monotonic() - started < 2
        assert len((await spend(on))["reserved"]) == 1  # nobody knows whether it is billed


async def test_a_dripping_answer_does_not_outlive_the_deadline(tmp_path: Path) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n")
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    chosen = settings(base=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    store = TinyStore.open(tmp_path)
    claude = Claude(chosen, store, SystemClock(), deadline=0.5)
    started = time.monotonic()
    with pytest.raises(ClaudeDown) as caught:
        await claude.ask(reply_request(PROMPTS, chosen, material()))
    assert caught.value.kind == "timeout"
    assert time.monotonic() - started < 3
    await claude.close()
    await store.close()
    server.close()


async def test_a_lost_answer_keeps_its_money_and_a_refused_connection_costs_none(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        on.standin.script(Fault("drop"))
        with pytest.raises(ClaudeDown) as caught:
            await on.claude.ask(reply(on))
        assert not caught.value.nothing_sent
        lost = await on.claude.budget.spent()
        assert lost > 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
        away = Claude(settings(base=nowhere), on.store, on.clock)
        with pytest.raises(ClaudeDown, match="cannot be reached") as caught:
            await away.ask(reply(on))
        assert caught.value.nothing_sent
        assert await away.budget.spent() == lost
        await away.close()


@pytest.mark.parametrize(
    "body",
    [
        "<html>proxy</html>",
        "[]",
        "null",
        '{"content": "no list"}',
        "{}",
        '{"content": []}',
        '{"content": [{"type": "text", "text": "{}"}], "stop_reason": null}',
        pytest.param("[" * 100_000, id="nested"),
    ],
)
async def test_an_answer_that_is_not_claudes_is_an_outage(tmp_path: Path, body: str) -> None:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        kind = b"text/html" if body.startswith("<") else b"application/json"
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: " + kind
        writer.write(head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    chosen = settings(base=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    store = TinyStore.open(tmp_path)
    claude = Claude(chosen, store, SystemClock())
    with pytest.raises(ClaudeDown):
        await claude.ask(reply_request(PROMPTS, chosen, material()))
    await claude.close()
    await store.close()
    server.close()


async def test_the_key_is_in_no_error(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        on.standin.script(error(400, "invalid_request_error", f"bad key sk-ant-{'api03-' + 'a1B2' * 22}"))
        with pytest.raises(Unanswerable) as caught:
            await on.claude.ask(reply(on))
        assert "a1B2a1B2" not in repr(caught.value) + caught.value.reason
        assert on.standin.api_key not in repr(on.claude)


# --- asking until there is a decision ---------------------------------------------------------------------------------


async def test_triage_then_reply(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        asked = await ask_claude(on.claude, on.settings, PROMPTS, material(), NOBODY)
        assert [c.purpose for c in asked.calls] == ["triage", "reply"]
        assert [b["model"] for b in on.standin.requests] == ["claude-haiku-5-5", "claude-sonnet-5-5"]
        assert "PR #12" in asked.decision.response_text
        assert "PR acme/app#12" in asked.decision.sources
        on.standin.script(NO)
        silent = await ask_claude(on.claude, on.settings, PROMPTS, material(), NOBODY)
        assert [c.purpose for c in silent.calls] == ["triage"]
        assert not silent.decision.should_respond


async def test_one_model_is_one_call(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_TRIAGE_MODEL="claude-sonnet-5-5") as on:
        asked = await ask_claude(on.claude, on.settings, PROMPTS, material(), NOBODY)
        assert [c.purpose for c in asked.calls] == ["reply"]
    async with line(tmp_path / "b") as on:
        asked = await ask_claude(on.claude, on.settings, PROMPTS, material(asked_for=True), NOBODY)
        assert [c.purpose for c in asked.calls] == ["reply"]


BAD = [
    (Special("refusal", category="bio"), "refused to answer (bio)"),
    (Special("max_tokens", '{"should_respond": true, "reas'), "cut off"),
    (Special("model_context_window_exceeded", "{"), "context window"),
    (Special("end_turn", ""), "was empty"),
    (Special("end_turn", "Sure, here is the reply!"), "not valid JSON"),
    ({**YES, "response_text": "x" * 3001}, "3,001 characters"),
    ({**YES, "response_text": "- x\n" * 700}, "cannot be shown whole in one Slack message"),
    ({**YES, "response_text": ""}, "response_text is empty"),
    ({"should_respond": True}, "reasoning is missing"),
]


@pytest.mark.parametrize(("item", "reason"), BAD, ids=[reason for _, reason in BAD])
async def test_a_bad_answer_is_asked_for_once_more(tmp_path: Path, item: Any, reason: str) -> None:
    async with line(tmp_path) as on:
        on.standin.script(item, YES)
        asked = await decide_with(on.claude, reply(on), NOBODY)
        assert asked.decision.response_text == "Ana has it."
        assert len(asked.calls) == 2
        first, second = (b["messages"][0]["content"] for b in on.standin.requests)
        assert second.startswith(first)
        assert len(second) > len(first)
        on.standin.script(item, item, YES)
        with pytest.raises(Unanswerable) as caught:
            await decide_with(on.claude, reply(on), NOBODY)
        assert reason in caught.value.reason
        assert len(caught.value.calls) == 2
        assert sum(c.cost_usd for c in caught.value.calls) > 0
        assert on.standin.scripted == 1


async def test_what_was_spent_before_an_outage_is_known(tmp_path: Path) -> None:
    async with line(tmp_path) as on:
        on.standin.script("not json", error(529))
        with pytest.raises(ClaudeDown) as caught:
            await decide_with(on.claude, reply(on), NOBODY)
        assert [c.purpose for c in caught.value.calls] == ["reply"]


# --- the day's money --------------------------------------------------------------------------------------------------


async def test_no_call_is_made_once_the_budget_is_reached(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_DAILY_BUDGET_USD="1", PMAGENT_TIMEZONE="Europe/Berlin") as on:
        on.standin.usage = {"input_tokens": 600_000}
        await on.claude.ask(reply(on))
        with pytest.raises(BudgetReached) as caught:
            await on.claude.ask(reply(on))
        assert caught.value.until.isoformat() == "2026-11-23T23:00:00+00:00"  # midnight in Berlin
        assert caught.value.spent > caught.value.limit == 1
        assert len(on.standin.requests) == 1
        on.clock.at = caught.value.until - timedelta(seconds=1)
        with pytest.raises(BudgetReached):
            await on.claude.ask(reply(on))
        on.clock.at = caught.value.until
        await on.claude.ask(reply(on))
        assert len(on.standin.requests) == 2


async def test_a_budget_below_one_call_says_so(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_DAILY_BUDGET_USD="0.01") as on:
        with pytest.raises(BudgetReached, match="raise it"):
            await on.claude.ask(reply(on))
    async with line(tmp_path / "b", PMAGENT_DAILY_BUDGET_USD="0") as on:
        with pytest.raises(BudgetReached):
            await on.claude.ask(reply(on))
        assert on.standin.requests == []


async def test_calls_at_once_cannot_overspend(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_DAILY_BUDGET_USD="0.5") as on:
        on.standin.delay = 0.3
        found = await asyncio.gather(*(on.claude.ask(reply(on)) for _ in range(20)), return_exceptions=True)
        held = [e for e in found if isinstance(e, BudgetReserved)]
        assert 0 < len(on.standin.requests) < 6
        assert len(held) == 20 - len(on.standin.requests)
        assert not any(isinstance(e, BudgetReached) for e in held)
        await on.claude.ask(reply(on))  # what they held was given back


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with line(tmp_path, deadline=0.3) as on:
        await on.claude.ask(reply(on))
        settled = (await spend(on))["usd"]
        on.standin.delay = 5
        task = asyncio.create_task(on.claude.ask(reply(on)))
        await asyncio.sleep(0.1)
        task.cancel()  # as at a kill: nothing was settled
        with pytest.raises((asyncio.CancelledError, RetryLater)):
            await task
        reserved = sum((await spend(on))["reserved"].values())
        again = Claude(on.settings, on.store, on.clock)
        assert await again.budget.spent() == pytest.approx(settled + reserved)


async def test_an_unknown_model_spends_as_the_dearest(tmp_path: Path) -> None:
    async with line(tmp_path, PMAGENT_MODEL="claude-next") as on:
        on.standin.models["claude-next"] = "Claude Next"
        on.standin.usage = {"input_tokens": 0, "output_tokens": 1000, "cache_creation_input_tokens": 0}
        answer = await on.claude.ask(reply(on))
        assert answer.call.cost_usd == pytest.approx(0.05)
