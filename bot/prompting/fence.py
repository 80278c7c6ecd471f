"""Unwraps a reply that the model put into one code fence. Pure.

Models answer "in Markdown" by showing Markdown as code; posted so, it would be a grey box without links and lists. A
person who puts a whole reply into a fence means it, so only what Claude wrote is looked at.
"""

from __future__ import annotations

import re

_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*([^`\n]*?)[ \t]*")


def unfenced(reply: str) -> str:
    """The reply without the one fence around all of it: a bare one, or one that says that it holds Markdown or text."""
    first, *inside = reply.strip().split("\n")
    outer = _FENCE.fullmatch(first)
    if outer is None or not inside or outer[2].lower() not in ("", "markdown", "md", "text", "txt"):
        return reply
    within = ""  # a fence in the fence
    for number, line in enumerate(inside):
        found = _FENCE.fullmatch(line.strip())
        if found is None:
            continue
        if within:
            within = "" if found[1].startswith(within) and not found[2] else within
        elif found[2]:
            within = found[1]
        elif found[1].startswith(outer[1]):
            return "\n".join(inside[:number]).strip() if number == len(inside) - 1 else reply
    return reply
