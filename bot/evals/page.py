"""The page of a run: every situation with what the model was shown, what it answered, and the score.

One file, without a script.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from bot.evals.report import Run, Scored, flipped
from bot.evals.situation import CATEGORIES, NOW

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --good: #1a7f37; --bad: #c62828; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; } .quiet { opacity: .7; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .9rem .25rem 0; text-align: left; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } tr { border-bottom: 1px solid var(--line); }
details { border: 1px solid var(--line); border-radius: 8px; margin: .45rem 0; padding: .45rem .8rem; }
summary { cursor: pointer; } summary code { font-size: .85em; } details details { background: var(--soft); }
.good { color: var(--good); } .bad { color: var(--bad); } .mark { font-weight: 700; margin-right: .4rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .82rem; margin: .4rem 0;
 max-height: 32rem; overflow: auto; }
blockquote { margin: .5rem 0; padding: .4rem .9rem; border-left: 4px solid var(--line); background: var(--soft);
 white-space: pre-wrap; overflow-wrap: anywhere; }
ul { margin: .3rem 0; } .runs { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
"""


def page(runs: Sequence[Run], title: str = "Evals") -> str:
    """The page of one run, or of two with the same situations side by side."""
    body = [f"<h1>{escape(title)}</h1>", _facts(runs), _table(runs)]
    if len(runs) == 2:
        pairs = flipped(*runs)
        body.append("<h2>What flipped</h2>" + ("<ul>" if pairs else "<p>Nothing.</p>"))
        body += [
            f'<li>{_mark(one)}→ {_mark(other)}<a href="#{_id(one)}">{_id(one)}</a> {escape(_what(one))}</li>'
            for one, other in pairs
        ]
        body.append("</ul>" if pairs else "")
    for category in CATEGORIES:
        rows = list(zip(*(run.of(category) for run in runs), strict=True))
        if rows:
            body.append(f"<h2>{escape(category.replace('_', ' ').capitalize())}</h2>")
            body += [_situation(runs, row) for row in rows]
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>\n<body>{''.join(body)}</body></html>\n"
    )


def _facts(runs: Sequence[Run]) -> str:
    names = " beside ".join(f"<code>{escape(run.name)}</code>" for run in runs)
    return (
        f'<p class="quiet">{len(runs[0].results)} invented situations through the real program, '
        f"at {NOW:%A, %-d %B %Y, %H:%M} UTC of its clock, with the prompts in {names}.</p>"
    )


def _table(runs: Sequence[Run]) -> str:
    head = "".join(f'<th class="n">{escape(run.name)}</th>' for run in runs)
    rows = []
    for category in CATEGORIES:
        if any(run.of(category) for run in runs):
            cells = "".join(
                f'<td class="n">{sum(r.passed for r in run.of(category))} of {len(run.of(category))}</td>'
                for run in runs
            )
            rows.append(f"<tr><td>{escape(category.replace('_', ' '))}</td>{cells}</tr>")
    sums = (
        ("all", [f"<b>{run.passed} of {len(run.results)}</b>" for run in runs]),
        ("cost", [f"${run.cost:.3f}" for run in runs]),
        ("seconds with the model", [f"{run.seconds:.1f}" for run in runs]),
    )
    rows += [f"<tr><td>{name}</td>{''.join(f'<td class=n>{v}</td>' for v in values)}</tr>" for name, values in sums]
    return f"<table><tr><th>passed</th>{head}</tr>{''.join(rows)}</table>"


def _situation(runs: Sequence[Run], row: tuple[Scored, ...]) -> str:
    opened = "" if all(result.passed for result in row) else " open"
    marks = "".join(_mark(result) for result in row)
    columns = "".join(_result(run.name if len(runs) > 1 else "", result) for run, result in zip(runs, row, strict=True))
    name, what = _id(row[0]), escape(_what(row[0]))
    return (
        f'<details id="{name}"{opened}><summary>{marks}<code>{name}</code> {what}</summary>'
        f'<div class="runs">{columns}</div></details>'
    )


def _result(name: str, result: Scored) -> str:
    outcome = result.outcome
    found = [f"<p><b>{escape(name)}</b></p>" if name else ""]
    asked = outcome.situation.comments[-1].text if outcome.situation.event in ("comment", "edit") else ""
    if asked and not name:
        found.append(f'<p class="quiet">Asked:</p><blockquote>{escape(asked)}</blockquote>')
    if outcome.text:
        found.append(f'<p class="quiet">Drafted:</p><blockquote>{escape(outcome.text)}</blockquote>')
    found.append(f'<p class="quiet">{escape(outcome.decided.capitalize())}: {escape(outcome.reason)}</p>')
    if result.faults:
        items = "".join(f"<li><b>{fault.check}</b>: {escape(fault.what)}</li>" for fault in result.faults)
        found.append(f'<ul class="bad">{items}</ul>')
    for call in outcome.calls:
        found.append(
            f"<details><summary>{escape(call.purpose)}, {call.seconds:.1f} s</summary>"
            f"<pre>{escape(call.message)}</pre><pre>{escape(_pretty(call.answer))}</pre></details>"
        )
    if outcome.cost:
        found.append(f'<p class="quiet">${outcome.cost:.4f}</p>')
    return f"<div>{''.join(found)}</div>"


def _pretty(answer: str) -> str:
    try:
        return json.dumps(json.loads(answer), indent=1, ensure_ascii=False)
    except ValueError:
        return answer


def _mark(result: Scored) -> str:
    return f'<span class="mark {"good" if result.passed else "bad"}">{"✓" if result.passed else "✗"}</span>'


def _id(result: Scored) -> str:
    return escape(result.outcome.situation.id)


def _what(result: Scored) -> str:
    return result.outcome.situation.what
