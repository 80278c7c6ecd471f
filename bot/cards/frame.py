"""The frame around a reply on its card: what is in it is the reply's, and nothing in it can leave it.

Slack's `container` block where the workspace takes it: a box with our title, and the reply as its one child. Else every
line of the reply has a bar at its left, between two lines of ours without one. Nothing of a reply becomes a block.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.cards.parts import Block, context, paragraph, rich, text
from bot.markup import Rendered
from bot.safety.quoting import shortened

REPLY, FRAME = "draft", "frame"
"""The ids of the block that shows the reply, and of the box around it."""
FRAME_BLOCK_IDS = frozenset({REPLY, FRAME})
END = "End of the reply. What follows is PM Agent's own."


def framed(reply: Rendered, source: str, title: str, facts: Sequence[str], *, box: bool) -> list[Block]:
    """The reply in its frame. `source`: its Markdown, shown where it cannot be rendered whole. `box`: by a container.

    `title` and `facts` are words of ours, above it.
    """
    if reply.problem:
        elements = [{"type": "rich_text_preformatted", "border": int(not box), "elements": [text(source or " ")]}]
    else:
        elements = reply.slack() if box else reply.barred()
    shown, said = rich(*elements, block_id=REPLY), " · ".join(facts)
    if not box:
        return [paragraph(text(title, bold=True), f" · {said}"), shown, context(END)]
    return [
        {
            "type": "container",
            "block_id": FRAME,
            "title": {"type": "plain_text", "text": title, "emoji": False},
            "subtitle": {"type": "plain_text", "text": shortened(said, 150), "emoji": False},
            "width": "full",
            "child_blocks": [shown],
        }
    ]
