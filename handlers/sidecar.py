"""The sidecar: one FastAPI application from the webhooks' endpoints and the status pages.

Slack's own endpoint (HTTP mode) is `bot.app`'s to add: this module starts nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig

from bot import __version__
from handlers import openapi_document as document
from handlers import status
from handlers.webhooks import routes as webhooks

if TYPE_CHECKING:
    from bot.context import Context

DESCRIPTION = """Where Jira and Bitbucket report what happened. Each delivery is verified, recorded on stable storage
and only then answered. What becomes of it is shown by `/pmagent why KEY` in Slack and by
`python -m bot export webhook_events`."""

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""FastAPI's own telemetry is off: the program has its figures and its log, and an exporter that the environment names
would be sent the texts of exceptions."""


def create_sidecar(ctx: Context | None = None) -> FastAPI:
    """The application. Without a context it can describe itself and nothing else."""
    app = FastAPI(
        title="PM Agent", version=__version__, description=DESCRIPTION, redoc_url=None, telemetry=NO_TELEMETRY
    )  # fmt: skip
    webhooks.add_routes(app, ctx)
    status.add_routes(app, ctx)
    own = app.openapi

    def complete() -> dict[str, Any]:
        return document.complete(own())

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document, without a store, secrets or settings."""
    return create_sidecar().openapi()
