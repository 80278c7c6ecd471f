"""How we are, for people, load balancers and Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.http.limits import is_local
from tests.sidecar_harness import (
    Sidecar,
    payload,
    running,
)

QUESTION = "comment_created__question"


@pytest.fixture
async def sidecar(tmp_path: Path) -> AsyncIterator[Sidecar]:
    async with running(tmp_path) as started:
        yield started


class TestStatus:
    async def test_home(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/")
        assert answer.json["service"] == "pm-agent"
        assert answer.json["mode"] == "simulation"
        assert answer.json["links"]["docs"] == "/docs"

    async def test_health(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/health")
        assert answer.json == {
            "status": "healthy", "timestamp": "2026-11-22T10:00:00Z", "version": "0.1.0", "mode": "simulation",
        }  # fmt: skip

    async def test_ready(self, sidecar: Sidecar) -> None:
        answer = await sidecar.get("/ready")
        assert answer.status == 200
        assert answer.json == {"status": "ready", "parts": {"store": "ok", "slack": "ok", "worker": "ok"}}

    async def test_not_ready_names_the_part(self, sidecar: Sidecar) -> None:
        sidecar.ctx.slack.connection = None
        answer = await sidecar.get("/ready")
        assert answer.status == 503
        assert answer.json["parts"] == {"store": "ok", "slack": "not connected", "worker": "ok"}

    async def test_a_service_that_is_away_is_named_and_work_is_taken_all_the_same(self, sidecar: Sidecar) -> None:
        sidecar.ctx.outages.away["jira"] = "away since 10:02: no connection"
        answer = await sidecar.get("/ready")
        assert (answer.status, answer.json["status"]) == (200, "ready")
        assert answer.json["away"] == {"jira": "away since 10:02: no connection"}

    @pytest.mark.parametrize("path", ["/", "/health", "/ready", "/metrics"])
    async def test_a_monitor_may_ask_with_head(self, sidecar: Sidecar, path: str) -> None:
        sidecar.ctx.slack.connection = None
        async with sidecar.session.head(f"{sidecar.url}{path}") as found, sidecar.session.get(found.url) as got:
            assert (found.status, await found.read()) == (got.status, b"")
            assert found.content_type == got.content_type
        assert got.status == (503 if path == "/ready" else 200)

    async def test_docs(self, sidecar: Sidecar) -> None:
        assert "swagger" in (await sidecar.get("/docs")).json
        assert "/webhooks/jira" in (await sidecar.get("/openapi.json")).json["paths"]

    async def test_metrics(self, sidecar: Sidecar) -> None:
        await sidecar.jira(payload(QUESTION))
        await sidecar.jira(payload(QUESTION))
        answer = await sidecar.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = answer.json.splitlines()
        assert "pmagent_events_total 1" in lines
        assert "pmagent_duplicates_total 1" in lines
        assert 'pmagent_ready{part="store"} 1' in lines
        assert all(line.startswith(("# HELP ", "# TYPE ", "pmagent_")) for line in lines)

    async def test_metrics_are_for_this_machine(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            assert (await sidecar.get("/metrics", X_Forwarded_For="203.0.113.1")).status == 403
        async with running(tmp_path, PMAGENT_OPEN_METRICS="true") as sidecar:
            assert (await sidecar.get("/metrics", X_Forwarded_For="203.0.113.1")).status == 200

    @pytest.mark.parametrize(
        ("peer", "headers", "local"),
        [
            ("127.0.0.1", [], True), ("::1", [], True), ("::ffff:127.0.0.1", [], True), ("10.0.0.1", [], False),
            ("127.0.0.1", [(b"x-forwarded-for", b"127.0.0.1")], True),
            ("127.0.0.1", [(b"x-forwarded-for", b"127.0.0.1, 10.0.0.1")], False),
            ("10.0.0.1", [(b"x-forwarded-for", b"127.0.0.1")], False),
            ("127.0.0.1", [(b"forwarded", b"for=10.0.0.1")], False),
        ],
    )  # fmt: skip
    def test_what_this_machine_is(self, peer: str, headers: list[tuple[bytes, bytes]], local: bool) -> None:
        assert is_local({"type": "http", "client": (peer, 1), "headers": headers}) is local
