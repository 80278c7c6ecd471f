"""One request to Jira and its answer: the library, the connection, the deadline, the errors.

Under it is atlassian-python-api's `JiraCloud` with its own retries off (they would send a comment twice) and its raw
answers on (its exceptions drop the gateway's reason). It blocks, so every call runs on `bot.clients.worker_threads`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from bot.clients import sockets
from bot.clients.jira import read
from bot.clients.responses import JIRA, content, failed, hush, not_the_service, refused
from bot.clients.values import mapping
from bot.clients.worker_threads import OutOfTime, Threads
from bot.domain.issues import Person
from bot.errors import Down, Gone, OutcomeUnknown, Permanent, RetryLater, TooLate

if TYPE_CHECKING:
    from requests import Response

    from bot.domain.leases import Deadline
    from bot.settings import Settings

T = TypeVar("T")
Call = Callable[[Any], Any]
"""A call on a `JiraCloud`; its methods have no types, hence `Any`."""


NOT_OFFERED = (404, 405)
DEADLINE = 15.0
"""Seconds for one call, whatever the other side does with its bytes."""
CONNECT = 5.0
"""Seconds for the connection: well within the deadline, so that "never connected" is known for certain."""


def searching(body: dict[str, Any]) -> Call:
    """A search by JQL."""
    # The library's own method for this endpoint (`enhanced_jql`) is a GET, whose JQL an address cannot hold at length.
    return lambda client: client.post(client.endpoint("search/jql", api_version=3), data=body)


class Wire:
    """Requests to one site by one account."""

    def __init__(self, settings: Settings, deadline: float = DEADLINE) -> None:
        self._settings = settings
        self._deadline = deadline
        self._offered: set[str] = set()
        self._threads: Threads[Any] = Threads("jira", self._client, lambda client: client.close())

    async def close(self) -> None:
        """Close idle connections; calls that hang are left to themselves."""
        await self._threads.close()

    async def read(self, call: Call, what: str = "issue", *, has: tuple[str, ...] = ()) -> Any:
        """The JSON of a successful answer. `what`: what is asked for, for an error's sentence. `has`: names, of which
        Jira's answer has one; a gateway's 200 has none, and is no empty list.

        Raises `Gone` only while Jira knows who we are: to a stranger everything is gone.
        """
        try:
            found = await self._json(call, what)
        except Gone:
            await self.myself()
            raise
        if has and not any(name in mapping(found) for name in has):
            raise Down(JIRA.name, f"{not_the_service(JIRA)}: it knows nothing of {has[0]}")
        return found

    async def where_offered(self, name: str, reading: Awaitable[T]) -> T | None:
        """What is read; None where this Jira has no such endpoint: it says 404 or 405, and never answered it before.

        Of an endpoint that has answered, 404 is what the issue's going or a gateway looks like, and is raised.
        """
        try:
            found = await reading
        except (Permanent, Down) as refusal:
            if refusal.status in NOT_OFFERED and name not in self._offered:
                return None
            raise
        self._offered.add(name)
        return found

    async def myself(self) -> Person:
        """The service account, by `GET /myself`. Raises `RetryLater`, mostly `Down`, while Jira does not say."""
        try:
            found = read.person(await self._json(lambda c: c.get_current_user(), "account"))
        except Permanent as refusal:
            raise Down(JIRA.name, refusal.reason, status=refusal.status) from None
        if found is None or not found.account_id:
            raise Down(JIRA.name, "Jira did not say who the service account is")
        return found

    async def _json(self, call: Call, what: str) -> Any:
        answer = await self.exchange(call, what, write=False)
        try:
            return content(answer)
        except (ValueError, RecursionError):
            raise Down(JIRA.name, f"{not_the_service(JIRA)}: it sent no JSON", status=answer.status_code) from None

    async def exchange(self, call: Call, what: str, *, write: bool, by: Deadline | None = None) -> Response:
        """One request and its answer, which is a success (2xx); everything else is one of our errors.

        `by`: by when it has to be sent and answered. Raises `TooLate` where it was not sent for that.
        """
        seconds = self._deadline if by is None else min(self._deadline, by.left())
        if seconds <= 0:
            raise TooLate

        def on_thread(client: Any, left: float) -> Any:
            if write:
                # A connection of its own: a kept one may be closed by Jira at the very moment it is used again,
                # and then nobody knows whether the comment arrived.
                client = self._client()
            client.timeout = (min(CONNECT, left), left)
            try:
                with sockets.sending(by):
                    return call(client)
            finally:
                if write:
                    client.close()

        try:
            answer: Response = await self._threads.run(on_thread, seconds)
        except TooLate:
            raise
        except OutOfTime as late:
            reason = f"Jira did not answer within {seconds:.3g} seconds"
            if write and late.started:
                raise OutcomeUnknown(reason) from None
            raise RetryLater(reason, nothing_sent=not late.started) from None
        except Exception as error:
            raise failed(error, JIRA, write=write) from None
        refusal = refused(answer, JIRA, what, write=write)
        if refusal is not None:
            raise refusal
        return answer

    def _client(self) -> Any:
        hush("atlassian")
        session = sockets.session()  # first: see there
        from atlassian.jira import JiraCloud

        session.max_redirects = 0  # a redirected POST would arrive as a GET, or at a stranger's
        return JiraCloud(
            self._settings.jira_api,
            username=self._settings.atlassian_service_account_email,
            password=self._settings.atlassian_service_account_token.get_secret_value(),
            session=session,
            advanced_mode=True,
            backoff_and_retry=False,
            retry_with_header=False,
        )
