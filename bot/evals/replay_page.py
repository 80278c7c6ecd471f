"""What a replay shows: a table in the terminal, and a page with each event's wordings side by side."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from bot.evals.html import document, folded, labelled
from bot.evals.replaying import Replayed
from bot.prompting import read_block


def table(found: Sequence[Replayed], prompts: str) -> str:
    """The figures, and the events of which the decision is another one."""
    lines = [f"{replayed.event.issue}  {_flip(replayed)}" for replayed in found if replayed.flipped]
    lines = ["Decided otherwise:", *(f"  {line}" for line in lines), ""] if lines else []
    lines += [f"  {name:24}{value}" for name, value in figures(found, prompts)]
    return "\n".join(lines)


def figures(found: Sequence[Replayed], prompts: str) -> list[tuple[str, str]]:
    """Names and values."""
    known = [replayed for replayed in found if replayed.decision]
    then, now = sum(bool(r.event.drafted) for r in known), sum(bool(r.text) for r in known)
    return [
        ("prompts", prompts),
        ("events", str(len(found))),
        ("drafts then, and now", f"{then}, {now}"),
        ("decided otherwise", str(sum(r.flipped for r in found))),
        ("without an answer", str(len(found) - len(known))),
        ("cost then, and now", f"${sum(r.event.cost for r in found):.3f}, ${sum(r.cost for r in found):.3f}"),
    ]


def _flip(replayed: Replayed) -> str:
    return "silence → a draft" if replayed.text else f"a draft, {replayed.event.outcome} → silence"


def page(found: Sequence[Replayed], prompts: str) -> str:
    """The page. What people decided stands beside what these prompts make of it."""
    rows = "".join(f"<tr><td>{n}</td><td>{escape(v)}</td></tr>" for n, v in figures(found, prompts))
    return document("Replay", f"<table>{rows}</table>{''.join(map(_event, found))}")


def _event(replayed: Replayed) -> str:
    event, decision = replayed.event, replayed.decision
    outcome = event.outcome[:1].upper() + event.outcome[1:]
    message = event.messages.get("reply") or event.messages["triage"]
    changed = event.final if event.final != event.drafted else ""
    then = [labelled("Claude drafted then:", event.drafted), labelled(f"{outcome}:", changed)]
    then.append(f'<p class="quiet">{escape(outcome)}. {escape(event.why)}</p>')
    why = decision.reasoning if decision else replayed.problem
    now = [labelled("With these prompts:", replayed.text)]
    now.append(
        f'<p class="quiet">{"Draft" if replayed.text else "Silence" if decision else "Nothing"}. {escape(why)}</p>'
    )
    flip = f' <b class="bad">{escape(_flip(replayed))}</b>' if replayed.flipped else ""
    return (
        f"<details{' open' if replayed.flipped else ''}><summary><code>{escape(event.issue)}</code> "
        f"{escape(event.at[:16].replace('T', ' '))}{flip}</summary>{labelled('Asked:', _asked(message))}"
        f'<div class="beside"><div>{"".join(then)}</div><div>{"".join(now)}</div></div>'
        f"{folded('What Claude was shown', message)}</details>"
    )


def _asked(message: str) -> str:
    data: dict[str, Any] = read_block(message)
    return str(data.get("to_answer", {}).get("text") or data.get("issue", {}).get("description") or "")
