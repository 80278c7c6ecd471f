"""Jira's endpoint: who sent a delivery, Jira or one of its Automation rules, and whether it may be our own doing."""

from __future__ import annotations

import asyncio
import hmac
from contextlib import suppress
from datetime import datetime
from typing import Any

from starlette.datastructures import Headers

from bot.domain.events import Event, Ignored
from bot.http.limits import RequestRefused
from bot.intake.accept import Source
from bot.offload import Offload
from handlers.decoding import kind_of
from handlers.jira import automation, events
from handlers.webhooks.endpoint import RETRY, Endpoint, one_header
from handlers.webhooks.signature import key_of

INTRODUCTION = 8.0
"""Seconds for which the first deliveries wait until our own account is known. Jira gives up on an answer after 20."""


class JiraEndpoint(Endpoint):
    """Jira's webhooks, signed, and Jira Automation's requests, which cannot sign and show a token."""

    source = "jira"
    setting = "JIRA_WEBHOOK_SECRET"
    has_age = True
    _introduced_by: float | None = None
    """When the wait for our own account ends, on the loop's clock; None: nothing has had to wait."""

    def authenticate(self, headers: Headers, body: bytes) -> Source:
        # A signature that is there is what counts: a wrong one is never rescued by a token.
        if "x-pmagent-token" not in headers or "x-hub-signature" in headers:
            return super().authenticate(headers, body)
        expected = self.ctx.settings.jira_automation_token
        given = one_header(headers, "x-pmagent-token") or ""
        secret = key_of(expected.get_secret_value()) if expected else b""
        if not secret or not hmac.compare_digest(given.encode("latin-1"), secret):
            self.complain("X-PMAgent-Token is not JIRA_AUTOMATION_TOKEN")
            raise RequestRefused(401, "the token is wrong")
        return "automation"

    def delivery_id(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str | None:
        if source == "automation":
            return automation.request_id(payload)
        return one_header(headers, "x-atlassian-webhook-identifier")

    def kind(self, source: Source, headers: Headers, payload: dict[str, Any]) -> str:
        return kind_of(payload.get("webhookEvent")) if source == "jira" else "draft_requested"

    def issues(self, payload: dict[str, Any]) -> tuple[str, ...]:
        return events.named_issues(payload)

    async def parse(
        self, source: Source, headers: Headers, payload: dict[str, Any], now: datetime, run: Offload
    ) -> Event | Ignored:
        watches = self.ctx.settings.watches
        if source == "automation":
            return automation.parse(payload, watches=watches, at=now)
        event = await run(lambda: events.parse(payload, watches=watches, own_account=self.ctx.jira.account_id))
        if isinstance(event, Ignored) or self.ctx.jira.account_id is not None:
            return event
        # The very first start: only Jira can say which account is our own. While its answer is on the way, nothing that
        # may be our own doing is taken in as somebody's; Jira delivers it again. When Jira is away, everything is taken
        # in and waits: whose comment it is, is asked again before anything is drafted.
        loop = asyncio.get_running_loop()
        self._introduced_by = self._introduced_by or loop.time() + INTRODUCTION
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ctx.introduced.wait(), max(self._introduced_by - loop.time(), 0.0))
        if self.ctx.jira.account_id is None and self.ctx.outages.jira.said() is None:
            raise RequestRefused(503, "Jira has not said yet which account is this program's own", RETRY)
        return await run(lambda: events.parse(payload, watches=watches, own_account=self.ctx.jira.account_id))
