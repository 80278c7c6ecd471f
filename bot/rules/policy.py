"""The rules: who may decide, what is for the channel, who will see a reply, what may Claude know. Pure: facts in,
verdict out.

The look-ups that feed these rules are in `bot.access.people` (Slack) and `bot.clients.jira`; nothing in here waits.
Whether a draft is still fresh is in `bot.rules.freshness`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from bot.domain.issues import Change, Comment, Frozen, Issue, Visibility
from bot.domain.mentions import without_names
from bot.settings import settings_for

if TYPE_CHECKING:
    from bot.domain.drafts import Draft
    from bot.markup import Known, Rendered
    from bot.settings import Settings


# Who may decide


class SlackUser(Frozen):
    """A Slack account as `users.info` tells it now. `is_guest`: single- or multi-channel guest. `is_stranger`: from
    another organisation, by Slack Connect."""

    id: str
    name: str
    team_id: str
    deleted: bool = False
    is_bot: bool = False
    is_guest: bool = False
    is_stranger: bool = False


def standing(user: SlackUser, home_team: str) -> str | None:
    """None for a full, living member of the home workspace; else a sentence why they are not one."""
    if user.deleted:
        return "This Slack account is deactivated."
    if user.is_bot:
        return "Bots and apps do not decide here, only people."
    if user.is_stranger or user.team_id != home_team:
        return "Only members of this workspace decide here, and this account belongs to another organisation."
    if user.is_guest:
        return "Guests of the workspace do not decide here, only full members."
    return None


def may_decide(user: SlackUser, home_team: str, members: frozenset[str]) -> str | None:
    """None when this person may decide; else the sentence that tells them why not. `members`: the ids who may."""
    if reason := standing(user, home_team):
        return reason
    if user.id not in members:
        return "You are not among the approvers. Ask one of them, or have PMAGENT_APPROVERS changed."
    return None


# What is for the channel


class OutOfBounds(NamedTuple):
    """Why an issue is not for the channel. `reason`: the silence's. `says`: follows its key in a sentence."""

    reason: str
    says: str


class IssueFacts(Protocol):
    """What of an issue that was read says whom it is for."""

    @property
    def key(self) -> str: ...
    @property
    def project(self) -> str: ...
    @property
    def has_security_level(self) -> bool: ...


SECURITY_LEVEL = OutOfBounds("the issue has a security level", "has a security level, so nothing of it is shown here")
MOVED = OutOfBounds(
    "moved to another project", "was moved to a project that this bot does not look after (JIRA_PROJECTS)"
)


def out_of_bounds(issue: IssueFacts, settings: Settings) -> OutOfBounds | None:
    """Why nothing of this issue may be drafted, posted, reported or shown; None when it may be.

    Asked after every read: an issue that was moved is still served under its old key, and who may see one changes.
    """
    if not (settings.watches(issue.project) and settings.watches(issue.key.rpartition("-")[0])):
        return MOVED
    # A level says who may see it, and no setting names a channel whose members are among them.
    return SECURITY_LEVEL if issue.has_security_level else None


def is_confidential(comment: Comment, issue: Issue) -> bool:
    """Whether the channel's members may not read this comment: it is for a role or group, and they need not be in it.

    The internal notes of a service desk are for the team, and so for its channel.
    """
    return comment.visibility is not None or not (comment.public or issue.service_desk)


# Who will see it


class Audience(Frozen):
    """Who sees a reply: `public` everybody who sees the issue, `internal` a service desk note, `restricted` one role
    or group. `customer`: a service desk customer is among them. `visibility`: the comment's restriction in Jira."""

    audience: Literal["public", "internal", "restricted"]
    customer: bool = False
    visibility: Visibility | None = None


def audience(issue: Issue, answered: Comment | None, settings: Settings) -> Audience:
    """Who may see the reply: never more people than see what it answers.

    Service desk: an internal note, unless the project is in JIRA_PUBLIC_REPLIES and what is answered is public. A
    restricted comment is answered under the same restriction.
    """
    visibility = answered.visibility if answered else None
    if issue.service_desk:
        public = answered is None or answered.for_everybody
        if public and settings_for(settings, issue.project).public_replies:
            return Audience(audience="public", customer=True)
        # A role does not hide a comment from the portal, so it stays an internal note as well.
        return Audience(audience="internal", visibility=visibility)
    if visibility is not None:
        return Audience(audience="restricted", visibility=visibility)
    return Audience(audience="public")


def audience_now(shown: Audience, issue: Issue, answered: str | None, settings: Settings) -> Audience:
    """Who may see a reply that was written for `shown`, by the issue and the settings as they are now.

    Never more people than it was written for, nor than see what it answers: an issue can be moved to a service desk, a
    project can leave JIRA_PUBLIC_REPLIES, and the comment `answered` can be restricted or taken away.
    """
    found = next((c for c in issue.comments if c.id == answered), None)
    now = audience(issue, found, settings)
    visibility = now.visibility or shown.visibility
    unknown = answered is not None and found is None  # deleted, or hidden from us: not known to be public
    if now.customer and (unknown or visibility or not shown.customer):  # Claude knew what customers may not know
        return Audience(audience="internal", visibility=visibility)
    if now.audience == "public" and visibility:
        return Audience(audience="restricted", visibility=visibility)
    return now.model_copy(update={"visibility": visibility})


def visible_to(audience: Audience, comments: Iterable[Comment]) -> tuple[Comment, ...]:
    """The comments that Claude may be given for a reply to this audience: nothing that some reader of the reply, or of
    its card, cannot see. Public, and so for customers: public and unrestricted ones. Internal: internal notes too.
    """
    return tuple(c for c in comments if c.visibility is None and (c.public or audience.audience == "internal"))


def shown_to(audience: Audience, issue: Issue) -> Issue:
    """The issue as Claude may be given it for a reply to this audience."""
    shown = issue.model_copy(update={"comments": visible_to(audience, issue.comments)})
    return for_customer(shown) if audience.customer else shown


CUSTOMER_CHANGES = ("status", "assignee", "resolution", "due", "duedate", "due date", "priority")
"""What a customer may learn from the history; all else is the team's own."""


def for_customer(issue: Issue) -> Issue:
    """The issue as a customer may know it: public comments, and nothing of what is around it or of the team's plans."""
    return issue.model_copy(
        update={
            "links": (), "parent": None, "children": (), "more_children": {}, "related": "all",
            "labels": (), "components": (), "fix_versions": (), "sprints": None,
            "comments": tuple(c for c in issue.comments if c.for_everybody),
            "changes": tuple(c for c in issue.changes if c.field.lower() in CUSTOMER_CHANGES),
        }
    )  # fmt: skip


def about_links(change: Change) -> bool:
    """Whether a change is about another issue: a link, a parent, a child."""
    return "link" in change.field.lower() or change.field.lower() in ("epic child", "parent", "issueparentassociation")


# What stands in a text


def known(issue: Issue, links: Iterable[str], site: str) -> Known:
    """What a reply's links and mentions are held against: the site's host, the issue's addresses and people."""
    from bot.markup import Known

    parts = urlsplit(site)
    host, path = parts.netloc.rpartition("@")[2], parts.path.rstrip("/")
    return Known(site_host=host, addresses=frozenset(links), people=issue.people(), site_path=path)


def rendered(draft: Draft, site: str) -> Rendered:
    """The draft's present wording: the one rendering that the card shows and that Jira gets."""
    from bot.markup import render

    return render(draft.text, known(draft.issue, draft.links, site))


def words_changed(before: str, after: str) -> bool:
    """Whether an edit changed words or numbers: punctuation, spaces, case and marks of emphasis do not count."""
    return words(before) != words(after)


def words(text: str) -> list[str]:
    """The words and numbers of a text, in order: the same for two spellings of its marks and spaces."""
    # Letters, marks (Indic vowels are marks), numbers and symbols (5 € is not 5 $) stand; all else parts words.
    plain = unicodedata.normalize("NFKC", without_names(text)).casefold()  # names are not in every version of a text
    parts = "".join(c if unicodedata.category(c)[0] in "LMN" or unicodedata.category(c) == "Sc" else " " for c in plain)
    return parts.split()


_LOWER = bytes(ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256))
_NO_WORDS = bytes(byte for byte in range(128) if not chr(byte).isalnum() and chr(byte) != "$")


def normalised(text: str) -> bytes:
    """The words of a text without what stands between them, to be hashed: the same for two spellings of its marks and
    spaces. UTF-8, in which a lone surrogate is a question mark."""
    text = without_names(text)
    if text.isascii():  # a fiftieth of the time; the door asks this of every comment
        return text.encode().translate(_LOWER, _NO_WORDS)
    return "".join(words(text)).encode("utf-8", "replace")
