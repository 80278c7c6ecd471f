"""The rules: who may decide, is it still fresh, who will see it, what may Claude know. Pure: facts in, verdict out.

The look-ups that feed these rules are in `bot.people` (Slack) and `bot.clients.jira`; nothing in here waits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from bot.issues import Change, Comment, Frozen, Issue, Visibility

if TYPE_CHECKING:
    from bot.drafts import Draft
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


# Is it ours


def watched(issue: Issue, settings: Settings) -> bool:
    """Whether the issue, as it was just read, is in a project that is looked after.

    Asked after every read: an issue that was moved is still served under its old key.
    """
    return settings.watches(issue.project) and settings.watches(issue.key.rpartition("-")[0])


# Is it still fresh

MAX_SENTENCES = 8
"""Changes named on a card; the rest is counted."""


def freshness(shown: Issue, now: Issue) -> tuple[str, ...]:
    """Sentences about what changed between the issue as shown and as it is now; () when it is fresh.

    What counts: the status, the assignee, and other people's comments added, edited or deleted. Our own comments do
    not, and neither do comments that merely slid into or out of the window of the newest ones that was read.
    """
    found: list[str] = []
    if shown.status != now.status:
        found.append(f"The status went from {shown.status} to {now.status}.")
    before, after = _name(shown), _name(now)
    if _account(shown) != _account(now):
        found.append(f"The assignee changed from {before} to {after}.")
    found += _comment_changes(shown, now)
    if len(found) > MAX_SENTENCES:
        rest = len(found) - MAX_SENTENCES
        found = [*found[:MAX_SENTENCES], f"And {rest} more {'change' if rest == 1 else 'changes'}."]
    return tuple(found)


def _comment_changes(shown: Issue, now: Issue) -> list[str]:
    old = {c.id: c for c in shown.comments if not c.by_us}
    new = {c.id: c for c in now.comments if not c.by_us}
    old_start, new_start = _window_start(shown), _window_start(now)
    found = []
    for comment in new.values():
        known = old.get(comment.id)
        if known is None:
            if old_start is None or comment.created >= old_start:
                found.append(f"{comment.author.name} commented: {_excerpt(comment.text)}")
        elif known.text != comment.text:
            found.append(f"{comment.author.name} edited a comment: {_excerpt(comment.text)}")
        elif (known.public, known.visibility) != (comment.public, comment.visibility):
            found.append(f"It changed who may see a comment by {comment.author.name}.")
    for comment in old.values():
        if comment.id not in new and (new_start is None or comment.created >= new_start):
            found.append(f"A comment by {comment.author.name} was deleted.")
    return found


def _window_start(issue: Issue) -> datetime | None:
    """The time from which on `issue.comments` is complete; None: it is complete."""
    if not issue.comments or issue.comment_total <= len(issue.comments):
        return None
    return min(c.created for c in issue.comments)


def _excerpt(text: str, length: int = 140) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= length else line[: length - 1].rstrip() + '…'}”"


def _account(issue: Issue) -> str | None:
    return issue.assignee.account_id if issue.assignee else None


def _name(issue: Issue) -> str:
    return issue.assignee.name if issue.assignee else "nobody"


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
        public = answered is None or (answered.public and visibility is None)
        if public and issue.project.upper() in settings.jira_public_replies:
            return Audience(audience="public", customer=True)
        # A role does not hide a comment from the portal, so it stays an internal note as well.
        return Audience(audience="internal", visibility=visibility)
    if visibility is not None:
        return Audience(audience="restricted", visibility=visibility)
    return Audience(audience="public")


def visible_to(audience: Audience, comments: Iterable[Comment]) -> tuple[Comment, ...]:
    """The comments that Claude may be given for a reply to this audience: nothing that some reader of it cannot see.

    Public, and so for customers: public and unrestricted ones. Internal: internal notes too. Under a restriction:
    those with exactly the same one as well.
    """
    return tuple(
        c
        for c in comments
        if (c.visibility is None or c.visibility == audience.visibility)
        and (c.public or (audience.audience == "internal"))
    )


def for_customer(issue: Issue) -> Issue:
    """The issue as a customer may know it: public comments, no linked issues, no history of links."""
    return issue.model_copy(
        update={
            "links": (),
            "comments": tuple(c for c in issue.comments if c.public and c.visibility is None),
            "changes": tuple(c for c in issue.changes if not _about_links(c)),
        }
    )


def _about_links(change: Change) -> bool:
    return "link" in change.field.lower() or change.field.lower() in ("epic child", "parent", "issueparentassociation")


# What stands in a text


def known(issue: Issue, links: Iterable[str], site: str) -> Known:
    """What a reply's links and mentions are held against: the site's host, the issue's addresses and people."""
    from bot.markup import Known

    host = urlsplit(site).netloc.rpartition("@")[2]
    return Known(site_host=host, addresses=frozenset(links), people=issue.people())


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
    plain = unicodedata.normalize("NFKC", text).casefold()
    parts = "".join(c if unicodedata.category(c)[0] in "LMN" or unicodedata.category(c) == "Sc" else " " for c in plain)
    return parts.split()


_LOWER = bytes(ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256))
_NO_WORDS = bytes(byte for byte in range(128) if not chr(byte).isalnum() and chr(byte) != "$")


def letters(text: str) -> bytes:
    """The words of a text without what stands between them, to be hashed: the same for two spellings of its marks and
    spaces. UTF-8, in which a lone surrogate is a question mark."""
    if text.isascii():  # a fiftieth of the time; the door asks this of every comment
        return text.encode().translate(_LOWER, _NO_WORDS)
    return "".join(words(text)).encode("utf-8", "replace")


QUESTION_MARKS = frozenset("?？﹖؟՞፧⁇⁈⁉‽⸮¿\u037e꘏⳺⳻᥅\U00011143❓❔")
"""Question marks: Latin, full width, Arabic, Armenian, Ethiopic, doubled ones, interrobang, reversed, Spanish, Greek
(U+037E), Vai, Coptic, Limbu, Chakma, and the two emoji."""

_FENCE = re.compile(r"^[ ]{0,3}(```|~~~)")
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{0,15}://|\bwww\.|\bmailto:)[^\s<>\"]+", re.IGNORECASE)
_GREEK_QUESTION = re.compile(r"[Ͱ-Ͻἀ-῿];")  # Greek is typed with a semicolon for its question mark

_QUESTION_PARTICLE = re.compile(r"[かカ吗嗎](?=\s*(?:[。．.!！]|$))", re.MULTILINE)
# Japanese and Chinese end a question with a particle, often without a mark.


def asks_something(text: str) -> bool:
    """Whether the text (Markdown) holds a question mark of any script, or a question's particle, outside code and
    addresses."""
    prose = _ADDRESS.sub(_end_of_address, _INLINE_CODE.sub(" ", _without_fences(text)))
    marked = any(c in QUESTION_MARKS for c in prose)
    return marked or any(sign.search(prose) for sign in (_GREEK_QUESTION, _QUESTION_PARTICLE))


def _without_fences(text: str) -> str:
    kept, fence = [], ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif fence and line.strip().startswith(fence):
            fence = ""
        elif not fence:
            kept.append(line)
    return "\n".join(kept)


def _end_of_address(match: re.Match[str]) -> str:
    # "Did you see https://example.net/a?" ends in a question, not in a query.
    address = match[0]
    return address[len(address.rstrip("?!.,;:)]}？؟")) :]
