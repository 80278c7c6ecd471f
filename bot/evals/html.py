"""What the pages of evals and replay share: one file without a script, readable by day and by night."""

from __future__ import annotations

import json
from html import escape

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
blockquote { margin: .3rem 0 .8rem; padding: .4rem .9rem; border-left: 4px solid var(--line); background: var(--soft);
 white-space: pre-wrap; overflow-wrap: anywhere; }
p { margin: .5rem 0 0; } ul { margin: .3rem 0; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1rem; }
"""


def document(title: str, body: str) -> str:
    """A whole page. `body` is HTML."""
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>\n<body><h1>{escape(title)}</h1>{body}</body></html>\n"
    )


def mark(good: bool) -> str:
    """A sign for passed or not."""
    return f'<span class="mark {"good" if good else "bad"}">{"✓" if good else "✗"}</span>'


def labelled(label: str, text: str) -> str:
    """Words under a label; nothing without words."""
    return f'<p class="quiet">{escape(label)}</p><blockquote>{escape(text)}</blockquote>' if text else ""


def folded(summary: str, *texts: str) -> str:
    """Texts that open with a click; one that is JSON is laid out."""
    shown = "".join(f"<pre>{escape(_pretty(text))}</pre>" for text in texts)
    return f"<details><summary>{escape(summary)}</summary>{shown}</details>"


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=1, ensure_ascii=False)
    except ValueError:
        return text
