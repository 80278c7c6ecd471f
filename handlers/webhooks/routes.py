"""The routes of the webhooks: which endpoints this configuration has, and how FastAPI is to call them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from bot.http.limits import Limits
from handlers import openapi_document as document
from handlers.bitbucket.endpoint import BitbucketEndpoint
from handlers.jira.endpoint import JiraEndpoint

if TYPE_CHECKING:
    from bot.context import Context


class RawRoute(APIRoute):
    """A route whose endpoint is given the request and returns the response, with nothing of FastAPI's between them.

    The endpoints verify raw bytes before anything is parsed, so FastAPI has no parameters to resolve and no result to
    serialize for them: looking for both took as long as all the rest that it does for a request.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return cast("Callable[[Request], Coroutine[Any, Any, Response]]", self.endpoint)


def add_routes(app: FastAPI, ctx: Context | None) -> None:
    """Add the endpoints of this configuration. Without BITBUCKET_WEBHOOK_SECRET Bitbucket has none (404).

    `ctx` None: they can be described (OpenAPI) and not called. They are the application's own routes and no included
    router's, in which FastAPI would look for each request's route a second time.
    """

    def add(name: str, receive: Callable[[Request], Awaitable[Response]], summary: str, extra: dict[str, Any]) -> None:
        app.router.add_api_route(
            f"/webhooks/{name}", receive, methods=["POST"], status_code=202, response_model=None, summary=summary,
            operation_id=f"receive_{name}", openapi_extra=extra, tags=["webhooks"], responses=document.ANSWERS,
            description=document.ORDER, route_class_override=RawRoute,
        )  # fmt: skip

    async def described(request: Request) -> Response:
        raise RuntimeError("this sidecar was made for its description only")

    into_jira = into_bitbucket = described
    if ctx is not None:
        settings = ctx.settings
        limits = Limits(settings.pmagent_rate_limit, settings.pmagent_trusted_proxies)
        into_jira = JiraEndpoint(ctx, settings.jira_webhook_secret, limits).receive
        into_bitbucket = BitbucketEndpoint(ctx, settings.bitbucket_webhook_secret, limits).receive
    add("jira", into_jira, "A Jira webhook, or a request of a Jira Automation rule", document.JIRA)
    if ctx is None or ctx.settings.bitbucket_webhook_secret:
        summary = "A Bitbucket Cloud webhook (404 without BITBUCKET_WEBHOOK_SECRET)"
        add("bitbucket", into_bitbucket, summary, document.BITBUCKET)
