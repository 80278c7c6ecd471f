"""Bitbucket's webhook payloads, as models: the fields that are read, and of which type they have to be."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from bot.domain.issues import Person
from handlers.decoding import (
    AccountId,
    Identifier,
    Line,
    Moment,
    Name,
    Payload,
    first,
    wrong,
)

MAX_LISTED = 100
"""People, branches and commits of one delivery that are read. Bitbucket sends five commits and fewer people."""
_REPOSITORY = re.compile(r"(?!\.\.?/)[A-Za-z0-9_.{}-]{1,128}/(?!\.\.?$)[A-Za-z0-9_.{}-]{1,128}")


def _repository(name: str) -> str:
    if not _REPOSITORY.fullmatch(name):
        raise wrong("is not workspace/repository")
    return name


class Account(Payload):
    """Somebody, or an app; which of the ids it has depends on the product."""

    account_id: AccountId | None = None
    uuid: AccountId | None = None
    username: Name | None = None
    nickname: Name | None = None
    display_name: Name | None = None
    type: str | None = None

    @property
    def id(self) -> str:
        return self.account_id or self.uuid or self.username or self.nickname or ""

    @property
    def shown(self) -> str:
        return self.display_name or self.nickname or self.username or "somebody"

    @property
    def key(self) -> str:
        """What two mentions of the same person have in common."""
        return self.id or self.shown

    def person(self) -> Person:
        return Person(
            account_id=self.id, name=self.shown, kind="app" if self.type in ("app_user", "AppUser") else "atlassian"
        )


class Repository(Payload):
    """A repository, by its name `workspace/repository`."""

    full_name: Annotated[str, AfterValidator(_repository)]


class BitbucketDelivery(Payload):
    """What every webhook of a handled kind holds."""

    repository: Repository
    actor: Account | None = None

    def by(self) -> Person | None:
        return self.actor.person() if self.actor else None


class Branch(Payload):
    """A branch's name."""

    name: str


class Side(Payload):
    """Where a pull request comes from, or goes to."""

    branch: Branch


class Participant(Payload):
    """Somebody's opinion of a pull request."""

    user: Account | None = None
    approved: bool | None = None
    state: str | None = None
    participated_on: Moment | None = None


class Html(Payload):
    """An address."""

    href: str | None = None


class Links(Payload):
    """Where a thing is to be seen."""

    html: Html | None = None


class BitbucketPullRequest(Payload):
    """A pull request, as far as it is read."""

    id: Annotated[int, Field(gt=0, lt=2**53)]
    title: Line
    state: str
    source: Side
    destination: Side
    created_on: Moment | None = None
    updated_on: Moment
    draft: bool | None = None
    author: Account | None = None
    reviewers: Annotated[list[Account] | None, first(MAX_LISTED)] = None
    participants: Annotated[list[Participant] | None, first(MAX_LISTED)] = None
    links: Links | None = None
    closed_by: Account | None = None


class Opinion(Payload):
    """An approval, or a wish for changes."""

    user: Account | None = None
    date: Moment | None = None


class Remark(Payload):
    """A comment on a pull request."""

    updated_on: Moment | None = None


class PullRequestDelivery(BitbucketDelivery):
    """`pullrequest:…`."""

    pullrequest: BitbucketPullRequest
    approval: Opinion | None = None
    changes_request: Opinion | None = None
    comment: Remark | None = None


class ApprovalDelivery(PullRequestDelivery):
    """`pullrequest:approved`, `pullrequest:unapproved`."""

    approval: Opinion


class ChangesRequestDelivery(PullRequestDelivery):
    """`pullrequest:changes_request_created`, `pullrequest:changes_request_removed`."""

    changes_request: Opinion


class Commit(Payload):
    """A commit in a push."""

    message: str | None = None


class Ref(Payload):
    """A branch or a tag."""

    type: str
    name: str
    target: Commit | None = None


class RefChange(Payload):
    """A branch or tag before and after a push: `new` is null where it was deleted, `old` where it was made."""

    new: Ref | None = None
    old: Ref | None = None
    commits: Annotated[list[Commit] | None, first(MAX_LISTED)] = None


class Push(Payload):
    """What was pushed at one time."""

    changes: Annotated[list[RefChange], first(MAX_LISTED)]


class PushDelivery(BitbucketDelivery):
    """`repo:push`."""

    push: Push


class BuiltCommit(Commit):
    """The commit that a status is about."""

    hash: Identifier


class CommitStatus(Payload):
    """A build's state."""

    commit: BuiltCommit
    state: str
    updated_on: Moment
    name: Line | None = None
    key: Line | None = None
    refname: str | None = None
    url: str | None = None


class BuildDelivery(BitbucketDelivery):
    """`repo:commit_status_created`, `repo:commit_status_updated`."""

    commit_status: CommitStatus
