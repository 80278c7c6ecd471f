"""A stand-in for Bitbucket Cloud: pull requests, their webhooks, and the two reads that the program makes.

Verbs (`open`, `approve`, `merge`, `push`, `build`) change the stand-in and deliver the signed webhook in the shape of
Bitbucket's payload documentation.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bot.demo.hooks import Delivery, Sender, signature
from bot.demo.jira.world import Account, people
from bot.demo.wire import StandIn

WORKSPACE = "acme"


@dataclass
class BitbucketPullRequest:
    """A pull request. `verdicts`: handle → `approved` or `changes_requested`; `decided`: handle → when, if not now."""

    number: int
    title: str
    author: Account
    repository: str
    branch: str
    target: str = "main"
    description: str = ""
    state: str = "OPEN"
    draft: bool = False
    reviewers: list[Account] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    decided: dict[str, datetime] = field(default_factory=dict)
    closed_by: Account | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def id(self) -> str:
        """`workspace/repo#number`, as `bot.domain.issues.PullRequest` has it."""
        return f"{self.repository}#{self.number}"


class BitbucketStandIn(StandIn):
    """One workspace, `acme`. `secret`, `target`: of the one webhook. `token`, `email`: what reads must carry.

    With `email` set the token is an API token (Basic), else a repository's access token (Bearer). `losing`: webhooks
    are not sent, as those on which Bitbucket has given up.
    """

    service = "bitbucket"

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.secret = ""
        self.target = ""
        self.token = "ATCTT-stand-in-" + secrets.token_hex(8)
        self.email = ""
        self.losing = False
        self.people = people()
        self.pull_requests: dict[tuple[str, int], BitbucketPullRequest] = {}
        self.deliveries: list[Delivery] = []
        self._sender = Sender(self)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/2.0/user", self._user),
            web.get("/2.0/repositories/{workspace}/{repo}/pullrequests", self._list),
            web.get("/2.0/repositories/{workspace}/{repo}/pullrequests/{number}", self._read),
            web.get("/{workspace}/{repo}/pull-requests/{number}", self._browse),
        ]

    async def close(self) -> None:
        await self._sender.close()

    # What people do

    def pull_request(
        self, title: str = "ECD-1 Stream large exports", *, author: str = "ana", repo: str = "foo", branch: str = "",
        reviewers: Iterable[str] = ("ben", "chen"), description: str = "", draft: bool = False, state: str = "OPEN",
        approved_by: Iterable[str] = (), target: str = "main",
    ) -> BitbucketPullRequest:  # fmt: skip
        """A pull request that is simply there; no webhook."""
        repository = f"{WORKSPACE}/{repo}"
        number = 1 + max((n for r, n in self.pull_requests if r == repository), default=0)
        found = BitbucketPullRequest(
            number, title, self.people[author], repository, branch or f"feature/{title.split()[0]}", target,
            description, state, draft, [self.people[r] for r in reviewers], dict.fromkeys(approved_by, "approved"),
        )  # fmt: skip
        self.pull_requests[repository, number] = found
        return found

    async def open(self, title: str = "ECD-1 Stream large exports", **details: Any) -> BitbucketPullRequest:
        """Create a pull request (see `pull_request`) and announce it."""
        found = self.pull_request(title, **details)
        await self.announce("pullrequest:created", found, found.author)
        return found

    async def approve(self, pull_request: BitbucketPullRequest, who: str) -> Delivery:
        """Somebody approves."""
        pull_request.verdicts[who] = "approved"
        pull_request.decided[who] = datetime.now(UTC)
        more = {"approval": {"date": _stamp(pull_request.decided[who]), "user": self._person(who)}}
        return await self.announce("pullrequest:approved", pull_request, self.people[who], more)

    async def merge(self, pull_request: BitbucketPullRequest, who: str = "ana") -> Delivery:
        """Merge it."""
        pull_request.state, pull_request.closed_by = "MERGED", self.people[who]
        return await self.announce("pullrequest:fulfilled", pull_request, self.people[who])

    async def push(
        self, branch: str, *messages: str, who: str = "ana", repo: str = "foo", deleted: bool = False
    ) -> Delivery:
        """Push commits with these messages, newest first."""
        commits = [
            {"hash": hashlib.sha256(f"{branch}{n}{m}".encode()).hexdigest()[:40], "message": m, "type": "commit",
             "date": _stamp(datetime.now(UTC)), "author": {"raw": self.people[who].name, "user": self._person(who)}}
            for n, m in enumerate(messages)
        ]  # fmt: skip
        head = {"name": branch, "type": "branch", "target": commits[0] if commits else {}}
        change = {
            "new": None if deleted else head, "old": head if deleted else None, "created": False, "closed": deleted,
            "forced": False, "truncated": False, "commits": commits,
        }  # fmt: skip
        return await self._event("repo:push", repo, who, {"push": {"changes": [change]}})

    async def build(
        self, branch: str, state: str = "SUCCESSFUL", *, name: str = "CI", repo: str = "foo", commit: str = "",
        message: str = "", event: str = "repo:commit_status_updated", at: datetime | None = None,
    ) -> Delivery:  # fmt: skip
        """Report a build of a branch. `state`: SUCCESSFUL, FAILED, INPROGRESS, STOPPED. `at`: if not now."""
        reported = _stamp(at or datetime.now(UTC))
        status = {
            "name": name, "key": name, "state": state, "refname": branch, "type": "build", "description": "",
            "url": f"{self.base}/builds/1", "created_on": reported, "updated_on": reported,
            "commit": {"hash": commit or "7d1a175411ef", "message": message, "type": "commit"},
            "repository": self._repository(f"{WORKSPACE}/{repo}"),
        }  # fmt: skip
        return await self._event(event, repo, "robot", {"commit_status": status})

    # Webhooks

    async def announce(
        self, event_key: str, pull_request: BitbucketPullRequest, actor: Account, more: dict[str, Any] | None = None,
        *, at: datetime | None = None,
    ) -> Delivery:  # fmt: skip
        """Deliver a pull request's webhook. `at`: when it changed, if not now."""
        pull_request.updated = at or datetime.now(UTC)
        payload = {
            "actor": self._shape(actor),
            "repository": self._repository(pull_request.repository),
            "pullrequest": self._pull_request(pull_request),
            **(more or {}),
        }
        return await self.deliver(event_key, payload)

    async def deliver(
        self, event_key: str, payload: Any, *, identifier: str | None = None, secret: str | None = None,
        raw: bytes | None = None, headers: dict[str, str] | None = None, retries: int = 2,
    ) -> Delivery:  # fmt: skip
        """Deliver a payload (or these raw bytes), signed; again only on 5xx, twice and at once, as Bitbucket does."""
        body = raw if raw is not None else json.dumps(payload).encode()
        name = identifier or str(uuid.uuid4())
        if self.losing:
            return Delivery(name, payload)
        signed = signature(self.secret if secret is None else secret, body)

        def on_attempt(attempt: int) -> dict[str, str]:
            return {
                "Content-Type": "application/json",
                "User-Agent": "Bitbucket-Webhooks/2.0",
                "X-Event-Key": event_key,
                "X-Hook-UUID": "{3c5d6f0e-0000-4000-8000-000000000001}",
                "X-Request-UUID": name,
                "X-Attempt-Number": str(attempt + 1),
                "X-Hub-Signature": signed,
                **(headers or {}),
            }

        delivery = await self._sender.send(
            self.target, body, on_attempt, again_on=lambda status: status >= 500,
            retries=retries, wait=0.0, seconds=10.0, identifier=name,
        )  # fmt: skip
        self.deliveries.append(delivery)
        return delivery

    async def _event(self, event_key: str, repo: str, who: str, more: dict[str, Any]) -> Delivery:
        repository = self._repository(f"{WORKSPACE}/{repo}")
        return await self.deliver(event_key, {"actor": self._person(who), "repository": repository, **more})

    # REST

    def _refusal(self, request: web.Request) -> web.Response | None:
        if self.email:
            expected = "Basic " + base64.b64encode(f"{self.email}:{self.token}".encode()).decode()
        else:
            expected = f"Bearer {self.token}"
        given = request.headers.get("Authorization", "")
        if secrets.compare_digest(given.encode(), expected.encode()):
            return None
        return _error(401, "Token is invalid, expired, or not supported for this endpoint.")

    async def _user(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is None and not self.email:
            # A repository's token is nobody's.
            refusal = _error(403, "This API is only accessible with the following authentication types: password.")
        return refusal or web.json_response(self._shape(self.people["agent"]))

    async def _read(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        found = self._find(request)
        return web.json_response(self._pull_request(found)) if found else _error(404, "Resource not found")

    async def _list(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        info, query = request.match_info, request.query
        repository = f"{info['workspace']}/{info['repo']}"
        if not any(known == repository for known, _ in self.pull_requests):
            return _error(404, f"Repository {repository} not found")
        most, page = int(query.get("pagelen", 10)), int(query.get("page", 1))
        states = query.getall("state", ["OPEN"])
        if not 1 <= most <= 50 or page < 1 or not set(states) <= {"OPEN", "MERGED", "DECLINED", "SUPERSEDED"}:
            return _error(400, "Invalid pagelen, page or state")
        found = [p for (known, _), p in self.pull_requests.items() if known == repository and p.state in states]
        found.sort(key=lambda p: p.updated, reverse=True)
        start = (page - 1) * most
        answer: dict[str, Any] = {"pagelen": most, "page": page, "size": len(found)}
        answer["values"] = [self._pull_request(p) for p in found[start : start + most]]
        # A list leaves people's verdicts out, unless they are asked for.
        asked = query.get("fields", "").split(",")
        for name in ("participants", "reviewers"):
            if f"+values.{name}" not in asked:
                for value in answer["values"]:
                    del value[name]
        if start + most < len(found):
            answer["next"] = str(request.url.update_query(page=str(page + 1)))
        return web.json_response(answer)

    async def _browse(self, request: web.Request) -> web.Response:
        found = self._find(request)
        if found is None:
            raise web.HTTPNotFound
        return web.Response(text=f"{found.id}: {found.title} ({found.state})")

    def _find(self, request: web.Request) -> BitbucketPullRequest | None:
        info = request.match_info
        number = int(info["number"]) if info["number"].isdecimal() else 0
        return self.pull_requests.get((f"{info['workspace']}/{info['repo']}", number))

    # Shapes

    def _person(self, handle: str) -> dict[str, Any]:
        return self._shape(self.people[handle])

    def _shape(self, account: Account) -> dict[str, Any]:
        return {
            "type": "app_user" if account.kind == "app" else "user",
            "display_name": account.name,
            "nickname": account.handle,
            "account_id": account.account_id,
            "uuid": "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, account.account_id)) + "}",
        }

    def _repository(self, full_name: str) -> dict[str, Any]:
        return {
            "type": "repository",
            "full_name": full_name,
            "name": full_name.partition("/")[2],
            "is_private": True,
            "links": {"html": {"href": f"{self.base}/{full_name}"}},
            "uuid": "{" + str(uuid.uuid5(uuid.NAMESPACE_URL, full_name)) + "}",
        }

    def _pull_request(self, found: BitbucketPullRequest) -> dict[str, Any]:
        handles = list(dict.fromkeys([*(a.handle for a in found.reviewers), *found.verdicts]))
        reviewers = {a.handle for a in found.reviewers}
        return {
            "type": "pullrequest",
            "id": found.number,
            "title": found.title,
            "description": found.description,
            "state": found.state,
            "draft": found.draft,
            "author": self._shape(found.author),
            "reviewers": [self._shape(a) for a in found.reviewers],
            "participants": [
                {
                    "type": "participant",
                    "user": self._person(handle),
                    "role": "REVIEWER" if handle in reviewers else "PARTICIPANT",
                    "approved": found.verdicts.get(handle) == "approved",
                    "state": found.verdicts.get(handle),
                    "participated_on": _stamp(found.decided.setdefault(handle, datetime.now(UTC)))
                    if handle in found.verdicts
                    else None,
                }
                for handle in handles
            ],
            "source": self._side(found.repository, found.branch),
            "destination": self._side(found.repository, found.target),
            "links": {"html": {"href": f"{self.base}/{found.repository}/pull-requests/{found.number}"}},
            "closed_by": self._shape(found.closed_by) if found.closed_by else None,
            "created_on": _stamp(found.created),
            "updated_on": _stamp(found.updated),
            "reason": "",
            "comment_count": 0,
            "task_count": 0,
        }

    def _side(self, repository: str, branch: str) -> dict[str, Any]:
        return {
            "branch": {"name": branch},
            "commit": {"hash": hashlib.sha256(branch.encode()).hexdigest()[:12]},
            "repository": self._repository(repository),
        }


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"type": "error", "error": {"message": message}}, status=status)
