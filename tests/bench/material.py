"""Webhooks that differ, made of recorded ones: other ids, other keys, today's times."""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench.load_generator import bitbucket, jira

OURS = Path(__file__).parents[1] / "fixtures"
THEIRS = Path(__file__).parents[3] / "shared" / "fixtures"
"""Recorded payloads, kept beside the repository and not in it."""
CONTEXT = (
    ("jira", "issue_updated__status"), ("jira", "issue_updated__assigned"), ("jira", "comment_created__by_another_app"),
    ("jira", "issue_created__no_description"), ("bitbucket", "repo_push__branch_with_key"),
    ("bitbucket", "repo_commit_status_created"), ("bitbucket", "pullrequest_updated"),
    ("bitbucket", "pullrequest_approved__one_of_two"),
)  # fmt: skip
"""Kinds that a rule settles, of our own payloads."""


@dataclass(frozen=True)
class Webhook:
    """A payload and what is needed to send it. `name`: its file's."""

    source: str
    name: str
    payload: dict[str, Any]
    identifier: str

    @property
    def event_key(self) -> str:
        return self.name.partition("__")[0].replace("_", ":", 1)

    @property
    def issue(self) -> str:
        return str((self.payload.get("issue") or {}).get("key", ""))

    @property
    def comment(self) -> dict[str, Any] | None:
        return self.payload.get("comment") if self.source == "jira" else None

    def wire(self, secrets: dict[str, str]) -> bytes:
        """The request, signed by the source's secret."""
        if self.source == "jira":
            return jira(self.payload, secrets["jira"], self.identifier)
        return bitbucket(self.event_key, self.payload, secrets["bitbucket"], self.identifier)


def recorded(folder: Path) -> list[tuple[str, str]]:
    """(source, name) of every payload in a folder of fixtures."""
    return [
        (p.parent.name, p.stem) for source in ("jira", "bitbucket") for p in sorted((folder / source).glob("*.json"))
    ]


def read(folder: Path, source: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / source / f"{name}.json").read_text(encoding="utf-8"))
    return found


def varied(source: str, name: str, payload: dict[str, Any], number: int, *, issues: int = 0) -> Webhook:
    """The `number`-th of its kind: its own issue (one of `issues`, where that is said), comment, time and id."""
    made = copy.deepcopy(payload)
    key = f"ECD-{number % issues + 1 if issues else number}"
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "+0000")
    if source == "jira":
        made["timestamp"] = int(time.time() * 1000)
        if isinstance(made.get("issue"), dict):
            made["issue"]["key"] = key
        comment = made.get("comment")
        if isinstance(comment, dict):
            comment["id"] = str(5_000_000 + number)
            edited = comment.get("updated") != comment.get("created")
            comment["created"] = now if not edited else "2026-01-01T10:00:00.000+0000"
            comment["updated"] = now
    else:
        made = json.loads(json.dumps(made).replace("ECD-142", key))
        made["number_of_this_run"] = number  # another body, so another delivery
        if "pullrequest" in made:
            made["pullrequest"]["id"] = number
    return Webhook(source, name, made, uuid.uuid4().hex)


def context(secrets: dict[str, str], *, issues: int = 1000, start: int = 0) -> Iterator[bytes]:
    """Endless webhooks that a rule settles, of several kinds, on so many issues, ready to be sent.

    The bodies are made by replacing bytes: what measures must cost much less than what is measured.
    """
    templates = [_template(source, name) for source, name in CONTEXT]
    number = start
    while True:
        for source, event_key, body in templates:
            number += 1
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.000+0000"
            made = body.replace(b"@key@", b"ECD-%d" % (number % issues + 1)).replace(b"@now@", now.encode())
            made = made.replace(_TIME, b"%d" % (time.time() * 1000)).replace(_NUMBER, b"%d" % number)
            made = made.replace(_PULL_REQUEST, b"%d" % (number % PULL_REQUESTS + 1))
            identifier = f"load-{number}"
            if source == "jira":
                yield jira(made, secrets["jira"], identifier)
            else:
                yield bitbucket(event_key, made, secrets["bitbucket"], identifier)


_TIME, _NUMBER, _PULL_REQUEST = b"1111111111111", b"2222222222222", b"3333333333333"
PULL_REQUESTS = 200
"""Many events are about one pull request."""


def _template(source: str, name: str) -> tuple[str, str, bytes]:
    """(source, event key, body with places to be filled)."""
    found = varied(source, name, read(OURS, source, name), 1)
    payload = found.payload
    if source == "jira":
        payload["timestamp"] = int(_TIME)
        payload["issue"]["key"] = "@key@"
        if found.comment:
            found.comment.update({"id": _NUMBER.decode(), "created": "@now@", "updated": "@now@"})
    else:
        payload = json.loads(json.dumps(payload).replace("ECD-1-", "@key@-").replace("ECD-1 ", "@key@ "))
        payload["number_of_this_run"] = int(_NUMBER)
        if "pullrequest" in payload:
            payload["pullrequest"]["id"] = int(_PULL_REQUEST)
    return source, found.event_key, json.dumps(payload).encode()
