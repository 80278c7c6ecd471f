"""A stand-in for Jira Cloud: a site (`site`) behind its REST API as far as the program uses it (`rest`)."""

from __future__ import annotations

from aiohttp import web

from bot.demo.jira.rest import JiraRest
from bot.demo.jira.site import JiraSite


class JiraStandIn(JiraSite):
    """See `JiraSite`."""

    def routes(self) -> list[web.RouteDef]:
        return JiraRest(self).routes()
