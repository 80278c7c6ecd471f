"""Jira Cloud: read an issue, post a comment that carries our marker, find it again, delete it, search.

How a request is made is in `wire`; what the shapes of Jira's answers mean is in `read` and `issue`, their statuses in
`bot.clients.responses`; how a long thread or history is read is in `comments`, a search in `search`, what is around an
issue in `related`; our own comments and their marker are in `replies`.

Errors: reads raise `RetryLater`, `Down` where Jira is away as a whole, `Gone` (404, 403 in Jira's own words, while it
knows our account) or `Permanent`; writes raise `RetryLater` only where certainly nothing was sent or done,
`OutcomeUnknown` where the answer was lost, `Permanent` with the status where the request was refused.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from bot.clients.jira import changes, read, replies, search
from bot.clients.jira import comments as thread
from bot.clients.jira.changes import ChangedPage
from bot.clients.jira.issue import issue as issue_of
from bot.clients.jira.issue import named_keys
from bot.clients.jira.related import Around, around, sprint_fields, told_of
from bot.clients.jira.replies import Reply
from bot.clients.jira.wire import DEADLINE, Wire, searching
from bot.clients.responses import JIRA, not_the_service
from bot.clients.values import listing, mapping, one_line
from bot.domain.issues import Change, Comment, Frozen, Issue, Person, Visibility, has_customers, in_order
from bot.errors import Down, Gone, Permanent
from bot.offload import offload

if TYPE_CHECKING:
    from bot.domain.leases import Deadline
    from bot.settings import Settings

NO_CONTENT = 204
"""How Jira says that it deleted something."""


class Project(Frozen):
    """A project of the site."""

    key: str
    name: str
    service_desk: bool


class Jira:
    """One site, one service account. `account_id` is known after `myself()`; the other verbs ask when they need it."""

    def __init__(self, settings: Settings, *, deadline: float = DEADLINE) -> None:
        self.account_id: str | None = None
        self._settings = settings
        self._wire = Wire(settings, deadline)
        self._sprint_fields: tuple[str, ...] | None = None

    async def close(self) -> None:
        """Close idle connections; calls that hang are left to themselves."""
        await self._wire.close()

    def comment_url(self, key: str, comment_id: str) -> str:
        """Where people see the comment."""
        return f"{self._settings.site}/browse/{quote(key, safe='')}?" + urlencode({"focusedCommentId": comment_id})

    # Reading

    async def myself(self) -> Person:
        """The service account, by `GET /myself`; sets `account_id`."""
        found = await self._wire.myself()
        self.account_id = found.account_id
        return found

    async def probe(self) -> None:
        """A look whether Jira answers: who we are, and a search. Raises `RetryLater` while it does not."""
        await self.myself()
        body = {"jql": "updated >= -1d ORDER BY updated DESC", "maxResults": 1, "fields": ["summary"]}
        with contextlib.suppress(Permanent):  # refused in its own words: it is there
            await self._wire.read(searching(body), "search", has=("issues",))

    async def issue(self, key: str, *, since: datetime | None = None) -> Issue:
        """The issue with its newest comments (oldest first), newest changes, links, parent and children.

        `since`: all changes since then, too, however many.
        """
        path = quote(key, safe="")
        main = asyncio.create_task(self._fields(path))
        own = asyncio.create_task(self._own_account())
        comments = asyncio.create_task(thread.newest_comments(self._wire, path))
        history = asyncio.create_task(thread.history(self._wire, path, since))
        # All are waited for, so that the error raised is always the first in this order: what the issue itself says.
        await asyncio.gather(main, own, comments, history, return_exceptions=True)
        (raw, others), _ = main.result(), own.result()
        return await self._issue(raw, comments.result(), history.result(), others)

    async def again(self, shown: Issue, answered: str | None) -> Issue:
        """The issue as it is now, with everything in view that may have changed since `shown` was read.

        That is the comment that is `answered`, by its own id and as the last thing read, what was written or edited
        since in a thread that is longer than what is read of it, and the whole history since.
        """
        since = max((change.at for change in shown.changes), default=shown.updated)
        issue = await self.issue(shown.key, since=since)
        if issue.comments_from is not None:
            edited = await self.comments_since(issue.key, shown.updated or read.EPOCH, desk=issue.service_desk)
            issue = issue.with_comments(*edited)
        if answered is None:
            return issue
        try:
            return issue.with_comments(await self.comment(issue.key, answered, desk=issue.service_desk))
        except Gone:
            return issue.model_copy(update={"comments": tuple(c for c in issue.comments if c.id != answered)})

    async def fields(self, key: str) -> Issue:
        """The issue without its comments and changes."""
        raw, others = await self._fields(quote(key, safe=""))
        return await self._issue(raw, {}, (), others)

    async def comment(self, key: str, comment_id: str, *, desk: bool = True) -> Comment:
        """One comment. `desk`: its issue is a service desk's, or that is not known. Raises `Gone` when it was deleted
        or is hidden from us."""
        await self._own_account()
        path, number = quote(key, safe=""), quote(comment_id, safe="")
        found = await self._wire.read(lambda c: c.get_comment(path, number), "comment", has=("id",))
        return await offload(partial(read.comment, found, self.account_id, desk=desk))

    async def has_marker(self, comment_id: str) -> bool:
        """Whether the comment carries our property (anybody can set one: no proof that the comment is ours)."""
        return bool(await self.marked([comment_id]))

    async def find_marked(self, key: str, draft_id: str, since: datetime) -> Reply | None:
        """One look for the comment posted for this draft: newest first, back to `since`, only our own account's.

        None: Jira answered, and it is not there. Raises `RetryLater` when Jira did not answer (the look does not count)
        and `Gone` when the issue is not there any more.
        """
        own = await self._own_account()
        return await replies.find(self._wire, quote(key, safe=""), draft_id, since, own)

    async def search(self, jql: str, *, limit: int = 200) -> tuple[Issue, ...]:
        """The issues that a bounded JQL finds, each with changes and comments, in the order of the search."""
        await self._own_account()
        raw = await search.found_by(self._wire, jql, limit)
        keys = [key for item in raw for key in named_keys(item)]
        others = Around(await told_of(self._wire, keys, self._settings.watches), "unread")
        rest = search.MissingParts(self._wire)

        async def one(item: dict[str, Any]) -> Issue:
            return await self._issue(item, *await rest.of(item), others)

        return tuple(await asyncio.gather(*(one(item) for item in raw)))

    async def changed(self, jql: str, since: datetime, token: str | None = None) -> ChangedPage:
        """One page of the issues that a bounded JQL finds, with what was written in them since then."""
        return await changes.changed(self._wire, jql, since, await self._own_account(), token)

    async def comments_since(self, key: str, since: datetime, *, desk: bool = True) -> tuple[Comment, ...]:
        """The comments of an issue that were written or edited since then, however long the thread is."""
        own = await self._own_account()
        return await changes.comments_since(self._wire, quote(key, safe=""), since, own, desk)

    async def marked(self, comment_ids: Sequence[str]) -> frozenset[str]:
        """Those of these comments that carry our property (see `has_marker`)."""
        return await replies.marked(self._wire, comment_ids)

    async def project(self, key: str) -> Project:
        """A project's name and whether it is a service desk."""
        path = quote(key, safe="")
        found = mapping(await self._wire.read(lambda c: c.get_project(path), "project", has=("key",)))
        return Project(
            key=found["key"] if isinstance(found.get("key"), str) else key,
            name=one_line(found.get("name")) or key,
            service_desk=has_customers(found.get("projectTypeKey")),
        )

    async def permissions(self, project: str | None, names: tuple[str, ...]) -> dict[str, bool]:
        """Which of these permissions (`ADD_COMMENTS`, …) the service account has, in one project or at all."""
        asked = await self._wire.read(
            lambda c: c.get_my_permissions(project_key=project, permissions=",".join(names)), has=("permissions",)
        )
        given = mapping(mapping(asked).get("permissions"))
        return {name: mapping(given.get(name)).get("havePermission") is True for name in names}

    # Writing

    async def post_comment(
        self,
        key: str,
        adf: dict[str, Any],
        properties: list[dict[str, Any]],
        visibility: Visibility | None = None,
        *,
        by: Deadline | None = None,
    ) -> Reply:
        """Post one comment with its properties, in one request, once. See the module's docstring for the errors.

        `by`: by when it is sent and answered; raises `TooLate` where it was not sent for that.
        """
        return await replies.post(self._wire, quote(key, safe=""), adf, properties, visibility, by=by)

    async def delete_comment(self, key: str, comment_id: str, *, by: Deadline | None = None) -> None:
        """Delete a comment of ours; one that is gone already is fine. Raises `Down` as well. `by`: as for a post."""
        path, number = quote(key, safe=""), quote(comment_id, safe="")
        refusal: Permanent | Down
        try:
            answer = await self._wire.exchange(lambda c: c.delete_comment(path, number), "comment", write=True, by=by)
        except Permanent as error:
            if error.status not in (404, 410):
                raise
            refusal = error
        else:
            if answer.status_code == NO_CONTENT:
                return
            refusal = Down(JIRA.name, not_the_service(JIRA), status=answer.status_code)
        try:  # a gateway says 404 or 200 too, and then the comment is still there
            await self.comment(key, comment_id)
        except Gone:
            return
        raise refusal

    # How

    async def _own_account(self) -> str | None:
        """Our account id, asked for once."""
        return self.account_id or (await self.myself()).account_id

    async def _fields(self, path: str) -> tuple[Any, Around]:
        """An issue's fields as Jira gave them, and the other issues around it."""
        if self._sprint_fields is None:
            self._sprint_fields = await sprint_fields(self._wire)
        names = ",".join((*read.FIELDS, *(self._sprint_fields or ())))
        raw = await self._wire.read(lambda c: c.get_issue(path, fields=names), has=("key",))
        if not isinstance(raw.get("fields"), dict):
            raise Down(JIRA.name, f"{not_the_service(JIRA)}: it tells nothing of an issue")
        return raw, await around(self._wire, raw, self._settings.watches)

    async def _issue(
        self, raw: Any, comments: dict[str, Any] | None, history: tuple[Change, ...], others: Around
    ) -> Issue:
        """The issue in our words."""
        fields = mapping(mapping(raw).get("fields"))
        page = mapping(fields.get("comment")) if comments is None else comments
        desk = read.is_desk(raw)
        convert = partial(read.comment, own_account=self.account_id, desk=desk)
        # One by one: fifty comments of the greatest length take seconds, and a delivery's text does not wait for all.
        found = [await offload(partial(convert, item)) for item in listing(page.get("comments"))]
        whole = partial(
            issue_of,
            raw,
            site=self._settings.site,
            comments=in_order(found)[-thread.NEWEST_COMMENTS :],
            total=read.number(page.get("total"), len(found)),
            history=history,
            told=others.told,
            related=others.related,
            sprint_fields=self._sprint_fields or (),
        )
        try:
            return await offload(whole)
        except ValueError:
            raise Down("Jira", "Jira's answer about an issue has no key") from None
