"""Bitbucket's endpoint: what a webhook is about stands in its headers as well as in its body."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from starlette.datastructures import Headers

from bot.domain.events import Event, Ignored, Malformed
from bot.domain.issue_keys import find_keys
from bot.intake.accept import Source
from bot.offload import Offload
from handlers.bitbucket import events
from handlers.decoding import kind_of, text_at
from handlers.webhooks.endpoint import Endpoint, one_header


class BitbucketEndpoint(Endpoint):
    """Bitbucket Cloud's webhooks. They carry no time of their own."""

    source = "bitbucket"
    setting = "BITBUCKET_WEBHOOK_SECRET"

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        return one_header(headers, "x-request-uuid")

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(one_header(headers, "x-event-key"))

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        pull = payload.get("pullrequest")
        branch = text_at(pull, "source", "branch", "name") or text_at(payload, "commit_status", "refname")
        settings = self.ctx.settings
        return find_keys(branch, text_at(pull, "title"), watches=settings.watches, projects=settings.jira_projects)

    async def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime, run: Offload
    ) -> Event | Ignored:
        event_key = one_header(headers, "x-event-key")
        if not event_key:
            raise Malformed("the header X-Event-Key is missing, or is there twice")
        settings = self.ctx.settings
        watches, projects = settings.watches, settings.jira_projects
        return await run(lambda: events.parse(event_key, payload, watches=watches, projects=projects, received=now))
