"""The Jira stand-in's REST API, version 3: as strict as Jira where the program could get something wrong.

Served at the site's own address and, by `/ex/jira/{cloud id}`, at the gateway's. A service account's token works only
through the gateway, as with Atlassian.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import html
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.demo.jira import adf, world
from bot.demo.jira.answers import Refusal, json_body, page_of, properties_of
from bot.demo.jira.jql import JqlError, compile_jql
from bot.demo.jira.world import FIELDS, SPRINT, JiraComment, JiraIssue, stamp

if TYPE_CHECKING:
    from bot.demo.jira.site import JiraSite

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MISSING = "Issue does not exist or you do not have permission to see it."
LONGEST_COMMENT = 32_767
MOST_FOUND = 100
"""Issues with fields in one answer of a search."""
WRITES = ((20, 2.0), (100, 30.0))
"""So many writes to one issue in so many seconds; more get 429."""


GATEWAYS = {
    "timestamp": "2026-11-22T10:00:00.000Z",
    "status": 404,
    "error": "Not Found",
    "message": "No message available",
}
"""What Atlassian's gateway says of a cloud id that it does not know: not in Jira's shape."""


class NotOurs(Exception):
    """The request is for another site."""


class JiraRest:
    """The routes over one `JiraSite`."""

    def __init__(self, jira: JiraSite) -> None:
        self.jira = jira
        self._writes: dict[str, deque[float]] = {}

    def routes(self) -> list[web.RouteDef]:
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/myself", self.myself),
            ("GET", "/mypermissions", self.mypermissions),
            ("GET", "/field", self.fields),
            ("GET", "/project/search", self.project_search),
            ("GET", "/project/{key}", self.project),
            ("GET", "/issue/{key}", self.issue),
            ("GET", "/issue/{key}/changelog", self.changelog),
            ("GET", "/issue/{key}/comment", self.comments),
            ("POST", "/issue/{key}/comment", self.add_comment),
            ("GET", "/issue/{key}/comment/{id}", self.comment),
            ("DELETE", "/issue/{key}/comment/{id}", self.delete_comment),
            ("POST", "/comment/list", self.comment_list),
            ("GET", "/comment/{id}/properties", self.property_keys),
            ("GET", "/comment/{id}/properties/{property}", self.property),
            ("PUT", "/comment/{id}/properties/{property}", self.set_property),
            ("GET", "/search/jql", self.search),
            ("POST", "/search/jql", self.search),
            ("GET", "/search", self.search_gone),
            ("POST", "/search", self.search_gone),
        ]
        found: list[web.RouteDef] = [
            web.get("/_edge/tenant_info", self.tenant_info),
            web.get("/browse/{key}", self.browse),
        ]
        for prefix in ("", "/ex/jira/{cloud}"):
            found += [web.route(m, f"{prefix}/rest/api/3{path}", self._guarded(h)) for m, path, h in table]
        return found

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._authenticate(request)
                return await handler(request)
            except NotOurs:
                return web.json_response(GATEWAYS | {"path": request.path}, status=404)
            except Refusal as refusal:
                return web.json_response(refusal.body, status=refusal.status, headers=refusal.headers)

        return guarded

    def _authenticate(self, request: web.Request) -> None:
        cloud = request.match_info.get("cloud")
        if cloud is not None and cloud != self.jira.cloud_id:
            raise NotOurs
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(given, validate=True).decode() if scheme == "Basic" else ""
        except (binascii.Error, UnicodeDecodeError):
            decoded = ""
        right = hmac.compare_digest(decoded.encode(), f"{self.jira.email}:{self.jira.token}".encode())
        if cloud is not None and scheme == "Bearer":
            right = hmac.compare_digest(given.encode(), self.jira.token.encode())
        if cloud is None and self.jira.email.endswith("@serviceaccount.atlassian.com"):
            right = False
        if not right:
            raise Refusal(401, "Client must be authenticated to access this resource.", WWW_Authenticate="Basic")

    # Who and where

    async def tenant_info(self, request: web.Request) -> web.Response:
        return web.json_response({"cloudId": self.jira.cloud_id})

    async def browse(self, request: web.Request) -> web.Response:
        """What "View in Jira" leads to: the issue and its comments as a plain page."""
        issue = self.jira.issues.get(request.match_info["key"])
        if issue is None:
            raise web.HTTPNotFound
        title = html.escape(f"{issue.key} {issue.summary}")
        rows = "".join(
            f"<h3 id='comment-{c.id}'>{html.escape(c.author.name)}</h3><pre>{html.escape(c.text)}</pre>"
            for c in issue.comments
        )
        page = f"<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{rows}"
        return web.Response(text=page, content_type="text/html")

    async def myself(self, request: web.Request) -> web.Response:
        return web.json_response(self.jira.account(self.jira.account_id).shape(self.jira.base))

    async def mypermissions(self, request: web.Request) -> web.Response:
        names = [name for name in request.query.get("permissions", "").split(",") if name]
        if not names:
            raise Refusal(400, "The 'permissions' query parameter is required.")
        project = request.query.get("projectKey")
        if project is not None and project not in self.jira.projects:
            raise Refusal(404, f"No project could be found with key '{project}'.")
        given = {n: {"id": "1", "key": n, "name": n, "havePermission": n not in self.jira.denied} for n in names}
        return web.json_response({"permissions": given})

    async def project(self, request: web.Request) -> web.Response:
        found = self.jira.projects.get(request.match_info["key"])
        if found is None:
            raise Refusal(404, f"No project could be found with key '{request.match_info['key']}'.")
        return web.json_response(found.shape(self.jira.base))

    async def project_search(self, request: web.Request) -> web.Response:
        return page_of(request, [p.shape(self.jira.base) for p in self.jira.projects.values()], "values", 50)

    async def fields(self, request: web.Request) -> web.Response:
        """The fields that there are. A custom one's id differs from site to site, its type does not."""
        names = [{"id": n, "key": n, "name": n.title(), "custom": False, "schema": {"type": "string", "system": n}}
                 for n in FIELDS if n != SPRINT]  # fmt: skip
        schema = {"type": "array", "items": "json", "custom": "com.pyxis.greenhopper.jira:gh-sprint", "customId": 10020}
        return web.json_response(
            [*names, {"id": SPRINT, "key": SPRINT, "name": "Sprint", "custom": True, "schema": schema}]
        )

    # Issues

    async def issue(self, request: web.Request) -> web.Response:
        names = request.query.get("fields", "*all").split(",")
        expand = request.query.get("expand", "").split(",")
        return web.json_response(self._shape(self._issue(request), names, expand))

    async def changelog(self, request: web.Request) -> web.Response:
        return page_of(request, self._histories(self._issue(request)), "values", 100)

    async def search(self, request: web.Request) -> web.Response:
        asked = dict(request.query) if request.method == "GET" else await json_body(request)
        if unknown := set(asked) - {
            "jql", "fields", "expand", "maxResults", "nextPageToken", "properties", "fieldsByKeys", "failFast",
            "reconcileIssues",
        }:  # fmt: skip
            raise Refusal(400, f'Unrecognized field "{sorted(unknown)[0]}".')
        fields, expand = asked.get("fields", ["id"]), asked.get("expand", "")
        fields = fields.split(",") if isinstance(fields, str) else fields
        if not isinstance(expand, str) or not isinstance(fields, list) or not isinstance(asked.get("jql", ""), str):
            raise Refusal(400, "Invalid request payload. Refer to the REST API documentation and try again.")
        try:
            run = compile_jql(
                asked.get("jql", ""),
                now=world.now(),
                own_account=self.jira.account_id,
                projects=self.jira.projects,
                keys=self.jira.issues,
            )
            found = run([i for key, i in self.jira.issues.items() if key not in self.jira.unindexed])
            most, start = int(asked.get("maxResults", 50)), int(asked.get("nextPageToken") or 0)
            # 5,000 where ids and keys are asked for alone; with more fields Jira gives fewer, and says so by its token.
            most = max(1, min(most, MOST_FOUND if set(fields) - {"id", "key"} else 5000))
        except JqlError as error:
            raise Refusal(400, str(error)) from None
        except ValueError:
            raise Refusal(400, "The provided next page token is invalid or expired.") from None
        page = found[start : start + most]
        answer: dict[str, Any] = {"isLast": start + most >= len(found)}
        answer["issues"] = [self._shape(i, fields, expand.split(","), searched=True) for i in page]
        if not answer["isLast"]:
            answer["nextPageToken"] = str(start + most)
        return web.json_response(answer)

    async def search_gone(self, request: web.Request) -> web.Response:
        raise Refusal(410, "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API.")

    # Comments

    async def comments(self, request: web.Request) -> web.Response:
        issue = self._issue(request)
        order = request.query.get("orderBy", "created")
        if order not in ("created", "+created", "-created"):
            raise Refusal(400, f"Invalid value for orderBy: {order}")
        found = sorted(issue.comments, key=lambda c: (c.created, int(c.id)), reverse=order == "-created")
        return page_of(request, [c.shape(self.jira.base, issue.id) for c in found], "comments", 100)

    async def comment(self, request: web.Request) -> web.Response:
        issue = self._issue(request)
        return web.json_response(self._comment(issue, request).shape(self.jira.base, issue.id))

    async def add_comment(self, request: web.Request) -> web.Response:
        issue, asked = self._issue(request), await json_body(request)
        self._limit(issue.key)
        if unknown := set(asked) - {"body", "properties", "visibility", "author", "updateAuthor"}:
            raise Refusal(400, f'Unrecognized field "{sorted(unknown)[0]}".')
        if "ADD_COMMENTS" in self.jira.denied:
            raise Refusal(403, "You do not have the permission to comment on this issue.")
        if not asked.get("body"):
            raise Refusal(400, errors={"comment": "Comment body can not be empty!"})
        if wrong := adf.problems(asked["body"]):
            raise Refusal(400, errors={"comment": wrong[0]})
        text = adf.text_of(asked["body"]).strip()
        if len(text) > LONGEST_COMMENT:
            raise Refusal(400, errors={"comment": "The entered text is too long."})
        properties = properties_of(asked.get("properties", []))
        visibility = asked.get("visibility")
        if visibility is not None and (
            not isinstance(visibility, dict) or visibility.get("type") not in ("role", "group")
        ):
            raise Refusal(400, errors={"commentLevel": "The visibility needs a type: role or group."})
        own = self.jira.account(self.jira.account_id)
        internal = properties.get("sd.public.comment")
        obeyed = not self.jira.ignores_internal
        public = not (obeyed and isinstance(internal, dict) and internal.get("internal") is True)
        written = self.jira.add(
            issue, own, text, asked["body"], public or issue.project.kind != "service_desk", visibility
        )
        written.properties = properties
        self.jira.announce_later("comment_created", issue, written)
        return web.json_response(written.shape(self.jira.base, issue.id), status=201)

    async def delete_comment(self, request: web.Request) -> web.Response:
        issue = self._issue(request)
        found = self._comment(issue, request)
        self._limit(issue.key)
        if not self.jira.may_delete or found.author.account_id != self.jira.account_id:
            raise Refusal(403, f"You do not have permission to delete comment with id: {found.id}")
        issue.comments.remove(found)
        self.jira.announce_later("comment_deleted", issue, found)
        return web.Response(status=204)

    async def comment_list(self, request: web.Request) -> web.Response:
        ids = (await json_body(request)).get("ids")
        if not isinstance(ids, list) or not ids or len(ids) > 1000 or not all(type(i) is int for i in ids):
            raise Refusal(400, "The ids must be a list of 1 to 1000 numbers.")
        expand = "properties" in request.query.get("expand", "").split(",")
        found = [
            c.shape(self.jira.base, issue.id, properties=expand)
            for issue in self.jira.issues.values()
            for c in issue.comments
            if int(c.id) in ids
        ]
        return page_of(request, found, "values", 1000)

    async def property_keys(self, request: web.Request) -> web.Response:
        found = self._any_comment(request)
        return web.json_response({"keys": [{"self": "", "key": key} for key in found.properties]})

    async def property(self, request: web.Request) -> web.Response:
        found, key = self._any_comment(request), request.match_info["property"]
        if key not in found.properties:
            raise Refusal(404, f"Property with key '{key}' does not exist.")
        return web.json_response({"key": key, "value": found.properties[key]})

    async def set_property(self, request: web.Request) -> web.Response:
        found = self._any_comment(request)
        try:
            value = await request.json()
        except ValueError:
            raise Refusal(400, "The value has to be valid JSON.") from None
        found.properties |= properties_of([{"key": request.match_info["property"], "value": value}])
        return web.Response(status=200)

    # How

    def _issue(self, request: web.Request) -> JiraIssue:
        key = request.match_info["key"]
        for issue in self.jira.issues.values():
            if key in (issue.key, issue.id, *issue.former_keys):
                return issue
        raise Refusal(404, MISSING)

    def _comment(self, issue: JiraIssue, request: web.Request) -> JiraComment:
        try:
            return self.jira.find_comment(issue.key, request.match_info["id"])
        except KeyError:
            raise Refusal(404, f"Can not find a comment for the id: {request.match_info['id']}.") from None

    def _any_comment(self, request: web.Request) -> JiraComment:
        for issue in self.jira.issues.values():
            for comment in issue.comments:
                if comment.id == request.match_info["id"]:
                    return comment
        raise Refusal(404, f"Can not find a comment for the id: {request.match_info['id']}.")

    def _histories(self, issue: JiraIssue) -> list[dict[str, Any]]:
        return [
            {**h, "author": h["author"].shape(self.jira.base), "created": stamp(h["created"])} for h in issue.history
        ]

    def _shape(
        self, issue: JiraIssue, names: list[str], expand: list[str], *, searched: bool = False
    ) -> dict[str, Any]:
        base = self.jira.base
        wanted = set(FIELDS) if {"*all", "*navigable"} & set(names) else set(names) & set(FIELDS)
        wanted -= {name[1:] for name in names if name.startswith("-")}
        answer: dict[str, Any] = {"id": issue.id}
        if names != ["id"]:
            answer |= {"key": issue.key, "self": f"{base}/rest/api/3/issue/{issue.id}"}
            fields = issue.fields(base)
            answer["fields"] = {name: fields[name] for name in FIELDS if name in wanted and name != "comment"}
            if "comment" in wanted:
                # A search gives at most 20 comments of an issue.
                shown = issue.comments[:20] if searched else issue.comments
                answer["fields"]["comment"] = {
                    "comments": [c.shape(base, issue.id) for c in shown],
                    "startAt": 0, "maxResults": len(shown), "total": len(issue.comments),
                }  # fmt: skip
        if "changelog" in expand:
            histories = self._histories(issue)[::-1][: 40 if searched else 100]
            answer["changelog"] = {
                "startAt": 0, "maxResults": len(histories), "total": len(issue.history), "histories": histories
            }  # fmt: skip
        return answer

    def _limit(self, key: str) -> None:
        times, at = self._writes.setdefault(key, deque(maxlen=200)), time.monotonic()
        for most, seconds in WRITES:
            if sum(1 for t in times if at - t < seconds) >= most:
                raise Refusal(
                    429,
                    "Rate limit exceeded.",
                    Retry_After=str(int(seconds)),
                    RateLimit_Reason="jira-per-issue-on-write",
                )
        times.append(at)
