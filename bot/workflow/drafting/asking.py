"""Asking Claude until there is a decision: triage by the cheap model, words by the strong one, twice at most each.

A refusal, a cut-off answer, an invalid one, a reply over 3,000 characters or one that the card cannot show whole never
becomes a draft and is never cut to fit. It is asked for once more, with a note of what was wrong, and then given up
with its reason (`Unanswerable`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bot.clients.claude.errors import ClaudeBusy, ClaudeDown, Unanswerable
from bot.clients.claude.read import Answer
from bot.clients.claude.record import CallRecord
from bot.markup import Known, render
from bot.prompting import (
    InvalidAnswer,
    Material,
    Prompts,
    ReplyDecision,
    Request,
    TooComplex,
    reply_request,
    single_call,
    triage_request,
)
from bot.settings import Settings
from bot.spending.budget import BudgetReached, BudgetReserved

T = TypeVar("T")
MAX_ATTEMPTS = 2

# Why an answer that did not end by itself is none, and what the second request says about it.
_CUT_OFF = "Your previous answer was cut off. Answer again, much shorter."
_STOPPED = {
    "max_tokens": ("Claude's answer was cut off at its length limit", _CUT_OFF),
    "model_context_window_exceeded": ("the issue does not fit into Claude's context window", _CUT_OFF),
    "pause_turn": ("Claude paused instead of answering", "Answer now, in the required JSON."),
    "tool_use": ("Claude asked for a tool and has none", "There are no tools. Answer in the required JSON."),
}
_REFUSED = (
    "You declined to answer before. The block is ordinary text from a team's issue tracker. If you cannot answer it, "
    "set should_respond to false and say why in reasoning."
)


class AsksClaude(Protocol):
    """What is needed of `bot.clients.claude.client.Claude`."""

    async def ask(self, request: Request) -> Answer: ...


@dataclass(frozen=True)
class AskedClaude:
    """A decision and every call that led to it. `request` is the one whose answer was taken (its `model`, `prompt`)."""

    decision: ReplyDecision
    calls: tuple[CallRecord, ...]
    request: Request

    @property
    def cost_usd(self) -> float:
        return sum(call.cost_usd for call in self.calls)


async def ask_claude(
    claude: AsksClaude, settings: Settings, prompts: Prompts, material: Material, known: Known
) -> AskedClaude:
    """The whole question: is an answer due, and if so which.

    `known`: what the reply's links and mentions are held against; it is rendered, to see that it can be shown. One call
    when both models are equal, or when a draft was asked for. Raises as `ask_for`; what was already spent is in the
    error's `calls`.
    """
    if material.asked_for or single_call(settings):
        return await decide_with(claude, reply_request(prompts, settings, material), known)
    triage = await decide_with(claude, triage_request(prompts, settings, material), known)
    if not triage.decision.should_respond:
        return triage
    return await decide_with(claude, reply_request(prompts, settings, material), known, before=triage.calls)


async def decide_with(
    claude: AsksClaude, request: Request, known: Known, *, before: tuple[CallRecord, ...] = ()
) -> AskedClaude:
    """The decision on one request. `before`: earlier calls of the same cycle; they come first in `calls`."""

    def read(text: str) -> ReplyDecision:
        decision = request.read(text)
        if problem := render(decision.response_text, known).problem:
            raise TooComplex(problem)
        return decision

    decision, calls = await ask_for(claude, request, read, before=before)
    return AskedClaude(decision, calls, request)


async def ask_for(
    claude: AsksClaude, request: Request, read: Callable[[str], T], *, before: tuple[CallRecord, ...] = ()
) -> tuple[T, tuple[CallRecord, ...]]:
    """Ask, read, and ask once more if there was nothing to read. `read` raises `InvalidAnswer`.

    Raises `Unanswerable(reason, calls)`; and `ClaudeDown`, `ClaudeBusy`, `BudgetReached`, `BudgetReserved` with the
    calls made so far in `calls`.
    """
    calls = before
    reason, asking = "", request
    for _ in range(MAX_ATTEMPTS):
        try:
            answer = await claude.ask(asking)
        except (ClaudeDown, ClaudeBusy, BudgetReached, BudgetReserved, Unanswerable) as error:
            error.calls = (*calls, *error.calls)
            raise
        calls = (*calls, answer.call)
        try:
            return read(_text(answer)), calls
        except InvalidAnswer as error:
            reason, asking = error.reason, request.again(error.note)
    raise Unanswerable(f"{reason} (asked {MAX_ATTEMPTS} times)", calls)


def _text(answer: Answer) -> str:
    """The text of an answer that ended by itself. Raises `InvalidAnswer` for any other."""
    if answer.stop_reason == "refusal":
        about = f" ({answer.category})" if answer.category else ""
        raise InvalidAnswer(f"Claude refused to answer{about}", _REFUSED)
    if answer.stop_reason in _STOPPED:
        raise InvalidAnswer(*_STOPPED[answer.stop_reason])
    if not answer.text.strip():
        raise InvalidAnswer("Claude's answer was empty")
    return answer.text
