"""Status endpoints for people, load balancers and Prometheus: `/`, `/health`, `/ready`, `/metrics`."""

from __future__ import annotations

import asyncio
from datetime import UTC
from enum import Enum
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

from bot import __version__
from bot.http.limits import is_local
from bot.store import StoreUnavailable
from handlers.openapi_document import Health, Home, Ready, answer

if TYPE_CHECKING:
    from bot.context import Context

SERVICE = "pm-agent"
TAGS: list[str | Enum] = ["status"]
TIMEOUT = 2.0
"""Seconds that a part may take to say that it is ready."""


def add_routes(app: FastAPI, ctx: Context | None) -> None:
    """Add the four endpoints. `ctx` None: they can be described (OpenAPI) and not called.

    Each answers HEAD, too: that is how many monitors ask.
    """

    def given() -> Context:
        if ctx is None:
            raise RuntimeError("this sidecar was made for its description only")
        return ctx

    @app.head("/", include_in_schema=False)
    @app.get("/", tags=TAGS, summary="Who answers here", response_model=None, responses={200: answer(Home)})
    async def home() -> Response:
        links = {name: f"/{name}" for name in ("health", "ready", "metrics", "docs")}
        return _json(Home(service=SERVICE, version=__version__, mode=await _mode(given()), links=links))

    @app.head("/health", include_in_schema=False)
    @app.get(
        "/health",
        tags=TAGS,
        summary="Whether the process can serve",
        response_model=None,
        responses={200: answer(Health)},
    )
    async def health() -> Response:
        ctx = given()
        now = ctx.clock.now().astimezone(UTC)
        return _json(Health(status="healthy", timestamp=now, version=__version__, mode=await _mode(ctx)))

    @app.head("/ready", include_in_schema=False)
    @app.get(
        "/ready",
        tags=TAGS,
        summary="Whether work is taken, and which service it waits for",
        response_model=None,
        responses={200: answer(Ready), 503: answer(Ready, "Service Unavailable")},
    )
    async def ready() -> Response:
        ctx = given()
        parts = await readiness(ctx)
        wrong = any(text != "ok" for text in parts.values())
        said = Ready(
            status="not ready" if wrong else "ready",
            parts=parts,
            away=ctx.outages.away or None,
            audit_trail=await _broken_trail(ctx) or None,
        )
        return _json(said, 503 if wrong else 200)

    @app.head("/metrics", include_in_schema=False)
    @app.get(
        "/metrics",
        tags=TAGS,
        summary="Figures for Prometheus (this machine only, unless PMAGENT_OPEN_METRICS)",
        response_class=Response,
        responses={
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
            403: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        },
    )
    async def metrics(request: Request) -> Response:
        ctx = given()
        if not ctx.settings.pmagent_open_metrics and not is_local(request.scope):
            return Response(
                "Metrics are for this machine. PMAGENT_OPEN_METRICS=true opens them.\n", 403, media_type="text/plain"
            )
        from bot.reports.metrics import counters  # here: the report is read by few processes

        figures = {**await counters(ctx.store), "mode": await _mode(ctx)}
        text = exposition(figures, await readiness(ctx), broken=bool(await _broken_trail(ctx)))
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _json(said: BaseModel, status: int = 200) -> Response:
    return Response(said.model_dump_json(exclude_none=True), status, media_type="application/json")


async def readiness(ctx: Context) -> dict[str, str]:
    """Store, slack and worker: `ok`, or what is wrong."""
    parts: dict[str, str] = {}
    try:
        async with asyncio.timeout(TIMEOUT):
            await ctx.store.get("state", "mode")
        parts["store"] = "ok"
    except (StoreUnavailable, TimeoutError) as error:
        parts["store"] = str(error) or "does not answer"
    connection = ctx.slack.connection
    parts["slack"] = "ok" if connection is not None and connection.connected else "not connected"
    parts["worker"] = ctx.queue.ready() or "ok"
    return parts


async def _broken_trail(ctx: Context) -> str:
    from bot import workflow  # here: the document can be printed without the workflow's libraries

    try:
        async with asyncio.timeout(TIMEOUT):
            return await workflow.broken_trail(ctx)
    except (StoreUnavailable, TimeoutError):
        return ""  # the store is one of the parts


async def _mode(ctx: Context) -> str:
    from bot import workflow  # here: the document can be printed without the workflow's libraries

    try:
        async with asyncio.timeout(TIMEOUT):
            return (await workflow.mode(ctx)).mode
    except (StoreUnavailable, TimeoutError):
        return "unknown"


_HELP: dict[str, tuple[str, str]] = {
    "events": ("counter", "Events that were accepted"),
    "duplicates": ("counter", "Deliveries that were seen before"),
    "ignored": ("counter", "Deliveries that were recorded and left alone"),
    "silences": ("counter", "Events that led to no draft, for a recorded reason"),
    "failures": ("counter", "Events that could not be answered"),
    "posted": ("counter", "Comments posted to Jira"),
    "edited": ("counter", "Drafts that a person edited"),
    "skipped": ("counter", "Drafts that a person skipped"),
    "undone": ("counter", "Posted comments that were undone"),
    "claude_calls": ("counter", "Calls to Claude"),
    "cost_usd": ("counter", "What the calls to Claude cost, in US dollars"),
}


def exposition(figures: dict[str, Any], parts: dict[str, str], *, broken: bool = False) -> str:
    """Prometheus's text format: the figures of `stats`, drafts by state, and which parts are ready."""
    lines: list[str] = []

    def family(name: str, kind: str, text: str, values: dict[str, Any]) -> None:
        lines.extend((f"# HELP pmagent_{name} {text}", f"# TYPE pmagent_{name} {kind}"))
        lines.extend(f"pmagent_{name}{labels} {value}" for labels, value in values.items())

    for name, (kind, text) in _HELP.items():
        if name in figures:
            family(f"{name}_total", kind, text, {"": figures[name]})
    drafts = {f'{{state="{state}"}}': count for state, count in figures.get("drafts", {}).items()}
    family("drafts", "gauge", "Drafts by state", drafts)
    modes = {f'{{mode="{mode}"}}': int(figures.get("mode") == mode) for mode in ("simulation", "production")}
    family("mode", "gauge", "The mode in force", modes)
    ready = {f'{{part="{part}"}}': int(text == "ok") for part, text in parts.items()}
    family("ready", "gauge", "Whether a part is ready", ready)
    family("audit_trail_broken", "gauge", "Whether the audit trail was found broken", {"": int(broken)})
    family("info", "gauge", "The version that runs", {f'{{version="{__version__}"}}': 1})
    return "\n".join(lines) + "\n"
