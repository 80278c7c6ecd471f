"""What changed in an issue since somebody saw it, in sentences for a card. Pure.

What counts: the status and the assignee, also where they changed and changed back, other people's comments added,
edited or deleted, and the words of the issue where those are what is answered. Our own comments do not, and nothing
around the issue does (children, links, versions, pull requests): what a reply says of those is checked by itself.

Of a long thread only the newest comments are read (`Issue.comments_from`), so a comment that is missing may be merely
older. That is never taken for "unchanged": the one that is answered is read by its own id, older ones that were edited
since are read as well (`Jira.again`), and how many there are must be explained by what was seen to come and go.

The channel's members need not see what the issue's readers see: words stand here only where they are for everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bot.domain.issues import Change, Comment, Issue
from bot.safety.quoting import shortened

MAX_SENTENCES = 8
"""Changes named on a card; the rest is counted."""
HIDDEN = "a comment that not everybody may see"
COMMENT_GONE = "The comment that this answers was deleted, or is hidden from PM Agent now."


def freshness(shown: Issue, now: Issue, answered: str | None) -> tuple[str, ...]:
    """Sentences about what changed between the issue as shown and as it is now; () when it is fresh.

    `answered`: the id of the comment that is answered, None: the issue itself. It is among `now.comments` if it is
    there at all.
    """
    since = _changes_since(shown, now)
    found = [
        *_field("The status", shown.status, now.status, "status", since, shown.status == now.status),
        *_field("The assignee", _name(shown), _name(now), "assignee", since, _account(shown) == _account(now)),
        *(_words_of_the_issue(shown, now) if answered is None else ()),
        *_comments(shown, now, answered),
    ]
    if len(found) > MAX_SENTENCES:
        rest = len(found) - MAX_SENTENCES
        found = [*found[:MAX_SENTENCES], f"And {rest} more {'change' if rest == 1 else 'changes'}."]
    return tuple(found)


def _field(what: str, before: str, after: str, field: str, since: list[Change], same: bool) -> Iterable[str]:
    if not same:
        yield f"{what} {'changed' if field == 'assignee' else 'went'} from {before} to {after}."
    elif passed := [c.after or "nobody" for c in since if c.field.casefold() == field]:
        yield f"{what} went {' and '.join(f'to {value}' for value in passed[:-1]) or 'elsewhere'} and back to {after}."


def _changes_since(shown: Issue, now: Issue) -> list[Change]:
    known = frozenset(shown.changes)
    last = max((c.at for c in shown.changes), default=shown.updated)
    return [c for c in now.changes if c not in known and (last is None or c.at >= last)]


def _words_of_the_issue(shown: Issue, now: Issue) -> Iterable[str]:
    if shown.summary != now.summary:
        yield f"The summary was changed: {_excerpt(now.summary)}"
    if shown.description != now.description:
        yield f"The description was changed: {_excerpt(now.description)}"


def _comments(shown: Issue, now: Issue, answered: str | None) -> list[str]:
    old, new = {c.id: c for c in shown.comments}, {c.id: c for c in now.comments}
    old_start, new_start = _complete_from(shown), _complete_from(now)
    found: list[str] = []
    added = removed = 0
    for comment in now.comments:
        before = old.get(comment.id)
        if before is not None:
            found += _edited(before, comment, comment.id == answered)
        elif old_start is None or comment.created > old_start:
            added += 1
            found += _about(comment, f"{comment.author.name} commented: {_excerpt(comment.text)}", "added")
        elif comment.id == answered or (shown.updated and comment.updated > shown.updated):
            found += _about(comment, _edit(comment), "edited")
    gone = answered is not None and answered not in new and (answered in old or _before_windows(shown))
    if gone:
        removed += 1
        found.append(COMMENT_GONE)
    for comment in shown.comments:
        if comment.id not in new and comment.id != answered and (new_start is None or comment.created > new_start):
            removed += 1
            found += _about(comment, f"A comment by {comment.author.name} was deleted.", "deleted")
    unseen = now.comment_total - shown.comment_total - added + removed
    if unseen:
        which = "more" if unseen > 0 else "older"
        count = f"{abs(unseen)} {which} comment{'s were' if abs(unseen) > 1 else ' was'}"
        found.append(f"{count} {'added' if unseen > 0 else 'deleted'}.")
    return found


def _edited(before: Comment, after: Comment, answered: bool) -> Iterable[str]:
    if after.by_us:
        return
    if (before.public, before.visibility) != (after.public, after.visibility):
        whose = f"a comment by {after.author.name}" if before.for_everybody or after.for_everybody else HIDDEN
        yield f"It changed who may see {whose}."
    if before.text != after.text:
        yield from _about(after, _edit(after), "edited")
    elif answered and before.updated != after.updated:
        yield "The comment that this answers was edited, in something else than its words."


def _edit(comment: Comment) -> str:
    return f"{comment.author.name} edited a comment: {_excerpt(comment.text)}"


def _about(comment: Comment, sentence: str, happened: str) -> Iterable[str]:
    """The sentence, or for a comment that is not for everybody one that tells nothing of it."""
    if not comment.by_us:
        yield sentence if comment.for_everybody else f"{HIDDEN.capitalize()} was {happened}."


def _complete_from(issue: Issue) -> datetime | None:
    """The time from which on `issue.comments` is complete; None: it is complete."""
    if _before_windows(issue):
        return min((c.created for c in issue.comments), default=None)
    return issue.comments_from


def _before_windows(issue: Issue) -> bool:
    """Whether it was recorded by a version that did not record which comments were read."""
    return issue.comments_from is None and issue.comment_total > len(issue.comments)


def _excerpt(text: str, length: int = 140) -> str:
    return f"“{shortened(' '.join(text.split()), length)}”"


def _account(issue: Issue) -> str | None:
    return issue.assignee.account_id if issue.assignee else None


def _name(issue: Issue) -> str:
    return issue.assignee.name if issue.assignee else "nobody"
