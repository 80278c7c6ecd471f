"""The sidecar: one FastAPI application from the webhooks' doors and the status pages.

Slack's own endpoint (HTTP mode) is `bot.app`'s to add: this module starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bot import __version__
from bot.limits import Answer, Gate, Take
from handlers import document, status

if TYPE_CHECKING:
    from bot.context import Context

DESCRIPTION = """Where Jira and Bitbucket report what happened. Each delivery is verified, recorded on stable storage
and only then answered. What becomes of it is shown by `/pmagent why KEY` in Slack and by
`python -m bot export webhook_events`."""


class Sidecar(FastAPI):
    """FastAPI, and before it the webhooks' doors: a delivery goes to its door by one look-up.

    FastAPI's middleware, routes and exit stacks take 65 µs a request here, half of what a delivery may cost in all, and
    a door uses none of it. An error that a door does not expect goes on to uvicorn, which does as Starlette would: 500
    without a word about it, and the traceback into the log.
    """

    doors: Mapping[str, Gate] = MappingProxyType({})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self.doors.get(scope.get("path", ""))
        if door is not None and scope["type"] == "http" and scope["method"] == "POST":
            await door(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def begin(self, method: bytes, target: bytes, scope: Scope, answer: Answer) -> Take | None:
        """See `bot.server.Begin`."""
        door = self.doors.get(target.decode("latin-1"))
        return door.begin(scope, answer) if door is not None and method == b"POST" else None


def create_sidecar(ctx: Context | None = None) -> Sidecar:
    """The application. Without a context it can describe itself and nothing else."""
    app = Sidecar(title="PM Agent", version=__version__, description=DESCRIPTION, redoc_url=None)
    if ctx is not None:
        from handlers.webhooks import gates  # here: `openapi` needs no markup, no store and no workflow

        app.doors = gates(ctx)
        # Routes as well: they answer 405 to every other method.
        app.router.routes[:0] = [
            Route(path, door, methods=["POST"], include_in_schema=False) for path, door in app.doors.items()
        ]
    app.include_router(status.routes(ctx))
    own = app.openapi

    def complete() -> dict[str, Any]:
        return document.complete(own())

    app.openapi = complete  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
    return app


def openapi() -> dict[str, Any]:
    """The OpenAPI document, without a store, secrets or settings."""
    return create_sidecar().openapi()
