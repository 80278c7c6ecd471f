"""The page of evals: every situation with what the model was shown, what it answered, and the score."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bot.evals.html import document, folded, labelled, mark
from bot.evals.report import EvalRun, Scored, flipped
from bot.evals.situation import CATEGORIES, NOW


def page(runs: Sequence[EvalRun]) -> str:
    """The page of one run, or of two with the same situations side by side."""
    body = [_facts(runs), _table(runs)]
    if len(runs) == 2:
        items = [
            f'<li>{mark(one.passed)}→ {mark(other.passed)}<a href="#{_id(one)}">{_id(one)}</a> '
            f"{escape(_what(one))}</li>"
            for one, other in flipped(*runs)
        ]
        body.append("<h2>What flipped</h2>" + (f"<ul>{''.join(items)}</ul>" if items else "<p>Nothing.</p>"))
    for category in CATEGORIES:
        if rows := list(zip(*(run.of(category) for run in runs), strict=True)):
            body.append(f"<h2>{escape(category.replace('_', ' ').capitalize())}</h2>")
            body += [_situation(runs, row) for row in rows]
    return document("Evals", "".join(body))


def _facts(runs: Sequence[EvalRun]) -> str:
    names = " beside ".join(f"<code>{escape(run.name)}</code>" for run in runs)
    return (
        f'<p class="quiet">{len(runs[0].results)} invented situations through the real program, '
        f"at {NOW:%A, %-d %B %Y, %H:%M} UTC of its clock, with the prompts in {names}.</p>"
    )


def _table(runs: Sequence[EvalRun]) -> str:
    head = "".join(f'<th class="n">{escape(run.name)}</th>' for run in runs)
    rows: list[tuple[str, list[str]]] = []
    for category in CATEGORIES:
        if any(run.of(category) for run in runs):
            counts = [f"{sum(r.passed for r in run.of(category))} of {len(run.of(category))}" for run in runs]
            rows.append((category.replace("_", " "), counts))
    rows.append(("all", [f"<b>{run.passed} of {len(run.results)}</b>" for run in runs]))
    rows.append(("cost", [f"${run.cost:.3f}" for run in runs]))
    rows.append(("seconds with the model", [f"{run.seconds:.1f}" for run in runs]))
    lines = (f"<tr><td>{name}</td>{''.join(f'<td class=n>{v}</td>' for v in values)}</tr>" for name, values in rows)
    return f"<table><tr><th>passed</th>{head}</tr>{''.join(lines)}</table>"


def _situation(runs: Sequence[EvalRun], row: tuple[Scored, ...]) -> str:
    opened = "" if all(result.passed for result in row) else " open"
    situation = row[0].outcome.situation
    asked = situation.comments[-1].text if situation.event in ("comment", "edit") else situation.issue.description
    columns = "".join(_result(run.name if len(runs) > 1 else "", result) for run, result in zip(runs, row, strict=True))
    return (
        f'<details id="{_id(row[0])}"{opened}><summary>{"".join(mark(result.passed) for result in row)}'
        f"<code>{_id(row[0])}</code> {escape(_what(row[0]))}</summary>"
        f'{labelled("Asked:", asked)}<div class="beside">{columns}</div></details>'
    )


def _result(name: str, result: Scored) -> str:
    outcome = result.outcome
    found = [f"<p><b>{escape(name)}</b></p>" if name else "", labelled("Drafted:", outcome.text)]
    found.append(f'<p class="quiet">{escape(outcome.decided.capitalize())}: {escape(outcome.reason)}</p>')
    if result.faults:
        items = "".join(f"<li><b>{fault.check}</b>: {escape(fault.what)}</li>" for fault in result.faults)
        found.append(f'<ul class="bad">{items}</ul>')
    found += [folded(f"{call.purpose}, {call.seconds:.1f} s", call.message, call.answer) for call in outcome.calls]
    found.append(f'<p class="quiet">${outcome.cost:.4f}</p>' if outcome.cost else "")
    return f"<div>{''.join(found)}</div>"


def _id(result: Scored) -> str:
    return escape(result.outcome.situation.id)


def _what(result: Scored) -> str:
    return result.outcome.situation.what
