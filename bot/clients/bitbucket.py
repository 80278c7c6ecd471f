"""Bitbucket Cloud: read a pull request again, so that its approvals and state are today's.

Optional: without a token everything known of Bitbucket comes from its webhooks. Nothing is ever written there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bot.clients import sockets
from bot.clients.responses import BITBUCKET, content, failed, hush, not_the_service, refused
from bot.clients.values import listing, mapping, moment, one_line
from bot.clients.worker_threads import OutOfTime, Threads
from bot.domain.issues import PullRequest
from bot.errors import Down, Permanent, RetryLater

if TYPE_CHECKING:
    from requests import Response

    from bot.settings import Settings

DEADLINE = 10.0
"""Seconds for one call."""
MOST_PAGES = 10
"""Pages of 50 open pull requests that are read of one repository."""
# A list leaves reviewers and participants out unless they are asked for; %2B is the "+" that adds a field.
OPEN_ONES = "state=OPEN&pagelen=50&sort=-updated_on&fields=%2Bvalues.participants,%2Bvalues.reviewers"


class Bitbucket:
    """`configured`: there is a token. Auth: Basic with `BITBUCKET_EMAIL`, else Bearer (a repository's access token)."""

    def __init__(self, settings: Settings, *, deadline: float = DEADLINE) -> None:
        self.configured = settings.bitbucket_token is not None
        self._settings = settings
        self._deadline = deadline
        self._threads: Threads[Any] = Threads("bitbucket", self._client, lambda session: session.close())

    async def close(self) -> None:
        """Close idle connections."""
        await self._threads.close()

    async def pull_request(self, known: PullRequest) -> PullRequest:
        """The pull request as it is now; `known` itself without a token. Builds and keys stay as they were known.

        Raises `RetryLater`, or `Gone` when by Bitbucket's own words it is not there for us (any more).
        """
        if not self.configured:
            return known
        workspace, _, repository = known.repository.partition("/")
        path = f"repositories/{quote(workspace, safe='')}/{quote(repository, safe='')}/pullrequests/{known.number}"
        return refreshed(known, await self._get(path, "pull request", has="id"))

    async def open_pull_requests(self, repository: str) -> tuple[PullRequest, ...]:
        """The open pull requests of `workspace/repository`, with reviewers and approvals, without builds and keys.

        Raises `RetryLater`, or `Gone` when the repository is not there for us (any more).
        """
        workspace, _, name = repository.partition("/")
        path = f"repositories/{quote(workspace, safe='')}/{quote(name, safe='')}/pullrequests"
        found: list[PullRequest] = []
        for page in range(1, MOST_PAGES + 1):
            answer = await self._get(f"{path}?{OPEN_ONES}&page={page}", "repository", has="values")
            found += [one for raw in listing(answer.get("values")) if (one := listed(raw, repository)) is not None]
            if not answer.get("next"):
                break
        return tuple(found)

    async def check(self) -> str:
        """Who the token belongs to, as a sentence. Raises `RetryLater` or `Permanent`; "" without a token."""
        if not self.configured:
            return ""
        try:
            user = await self._get("user", "account")
        except Permanent as refusal:
            if refusal.status != 403:
                raise
            # A repository's or project's token is nobody's: it may read pull requests and not ask who it is.
            return "a token that belongs to a repository, project or workspace"
        return one_line(user.get("display_name")) or one_line(user.get("username")) or "an account without a name"

    async def _get(self, path: str, what: str, *, has: str = "") -> dict[str, Any]:
        """The object that Bitbucket answers. `has`: a name in it; a gateway's 200 has none, and is no empty list."""
        url = f"{self._settings.bitbucket_url.rstrip('/')}/{path}"

        def on_thread(session: Any, left: float) -> Response:
            answer: Response = session.get(url, timeout=(min(5.0, left), left))
            return answer

        try:
            answer = await self._threads.run(on_thread, self._deadline)
        except OutOfTime as late:
            reason = f"Bitbucket did not answer within {self._deadline:g} seconds"
            raise RetryLater(reason, nothing_sent=not late.started) from None
        except Exception as error:
            raise failed(error, BITBUCKET, write=False) from None
        refusal = refused(answer, BITBUCKET, what, write=False)
        if refusal is not None:
            raise refusal
        try:
            found = mapping(content(answer))
        except (ValueError, RecursionError):
            raise Down(BITBUCKET.name, f"{not_the_service(BITBUCKET)}: it sent no JSON") from None
        if has and has not in found:
            raise Down(BITBUCKET.name, f"{not_the_service(BITBUCKET)}: it knows nothing of {has}")
        return found

    def _client(self) -> Any:
        # Plain requests: of atlassian-python-api's Bitbucket client we would use one GET.
        hush("urllib3")
        session = sockets.session()
        session.max_redirects = 0
        session.headers["Accept"] = "application/json"
        token = self._settings.bitbucket_token.get_secret_value() if self._settings.bitbucket_token else ""
        if self._settings.bitbucket_email:
            session.auth = (self._settings.bitbucket_email, token)
        else:
            session.auth = _Bearer(token)
        return session


class _Bearer:
    """An auth handler and no mere header: without a handler requests puts a login of ~/.netrc over the header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def listed(raw: dict[str, Any], repository: str) -> PullRequest | None:
    """A pull request of a list that we may not know yet; None when it says neither its number nor when it changed."""
    number, updated = raw.get("id"), moment(raw.get("updated_on"))
    if not isinstance(number, int) or isinstance(number, bool) or updated is None:
        return None
    address = mapping(mapping(raw.get("links")).get("html")).get("href")
    new = PullRequest(
        id=f"{repository}#{number}", repository=repository, number=number, title="", state="OPEN", updated=updated,
        url=address if isinstance(address, str) and address.startswith(("http://", "https://")) else "",
    )  # fmt: skip
    return refreshed(new, raw)


def refreshed(known: PullRequest, found: dict[str, Any]) -> PullRequest:
    """`known` with everything that Bitbucket's answer says; what it does not say stays. Pure."""
    people = listing(found.get("participants"))
    changes: dict[str, Any] = {}
    if isinstance(found.get("participants"), list):
        approved = [p for p in people if p.get("approved") is True or p.get("state") == "approved"]
        changes["approved_by"] = tuple(_name(p.get("user")) for p in approved)
        times = {_name(p.get("user")): moment(p.get("participated_on")) for p in approved}
        changes["approved_at"] = {name: at for name, at in times.items() if at}
        changes["changes_requested_by"] = tuple(
            _name(p.get("user")) for p in people if p.get("state") == "changes_requested"
        )
    if isinstance(found.get("reviewers"), list):
        changes["reviewers"] = tuple(_name(r) for r in listing(found["reviewers"]))
    for field in ("title", "state"):
        if one_line(found.get(field)):
            changes[field] = one_line(found[field])
    if isinstance(found.get("draft"), bool):
        changes["draft"] = found["draft"]
    for field, side in (("branch", "source"), ("target", "destination")):
        name = one_line(mapping(mapping(found.get(side)).get("branch")).get("name"))
        if name:
            changes[field] = name
    author = mapping(found.get("author"))
    if author:
        changes["author"] = _name(author)
        changes["author_id"] = one_line(author.get("account_id")) or known.author_id
    if mapping(found.get("closed_by")):
        changes["closed_by"] = _name(found["closed_by"])
    changes["opened"] = moment(found.get("created_on")) or known.opened
    changes["updated"] = moment(found.get("updated_on")) or known.updated
    return known.model_copy(update=changes)


def _name(user: Any) -> str:
    found = mapping(user)
    return one_line(found.get("display_name")) or one_line(found.get("nickname")) or "somebody"
