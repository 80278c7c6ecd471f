"""What went over the wire to Jira, written down as it went, with the program's books at that moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bot.demo.wire import Exchange
from tests.model.books import Books

COMMENT = re.compile(r"/rest/api/3/issue/([^/]+)/comment(?:/(\d+))?$")


@dataclass
class Post:
    """A comment that Jira took. `posting`: the audit records of its draft as they were when it arrived."""

    key: str
    comment_id: str
    marker: dict[str, Any]
    text: str
    trail: list[dict[str, Any]]
    mode: str


@dataclass
class Wires:
    """`posts`: comments that Jira took, `deleted`: ids of those it deleted for us; `first_mode`: the settings'."""

    books: Books
    first_mode: str
    posts: list[Post] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    checked: int = 0

    def saw(self, exchange: Exchange) -> None:
        """A listener of the Jira stand-in."""
        match = COMMENT.search(exchange.path)
        if not match or exchange.method not in ("POST", "DELETE") or exchange.status not in (201, 204):
            return
        try:
            self.books.read()
        except AssertionError as error:
            self.broken.append(str(error))
            return
        if exchange.method == "DELETE":
            self.deleted.append(match[2])
            for draft in self.books["drafts"].values():
                if (draft["posted"] or {}).get("comment_id") == match[2]:
                    mode = self.mode_before(draft["id"], "draft.undoing")
                    if mode != "production":
                        self.broken.append(f"{draft['id']} was undone in {mode}")
            return
        properties = {p["key"]: p["value"] for p in exchange.request.get("properties") or []}
        marker = properties.get("pm-agent") or {}
        self.posts.append(
            Post(
                match[1],
                str((exchange.response or {}).get("id")),
                marker,
                _words(exchange.request["body"]),
                [r for r in self.books.trail if r["draft_id"] == marker.get("draft_id")],
                self.mode_before(marker.get("draft_id", ""), "draft.posting"),
            )
        )

    def mode_before(self, draft_id: str, action: str) -> str:
        """The mode in force when the last audit record of this action on this draft was written."""
        mode = now = self.first_mode
        for record in self.books.trail:
            if record["action"] == "mode.switched":
                now = record["details"]["to"]
            elif record["draft_id"] == draft_id and record["action"] == action:
                mode = now
        return mode


def _words(node: Any) -> str:
    if isinstance(node, dict):
        own = f" {node['text']}" if node.get("type") == "text" else ""
        return own + _words(node.get("content") or [])
    return "".join(_words(item) for item in node)
