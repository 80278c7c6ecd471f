"""Look-alike names: accounts in an issue whose names would be taken for somebody else's there. Pure.

Anybody can call their account as somebody else is called, or nearly so. What looks the same counts as the same: case,
spaces, accents, the order of the parts, and letters of other scripts that look like Latin ones. Which of two such
accounts is the person one knows is not for a program to say: the one nearer to the issue counts as known, a colleague
before a customer and an app, and the other one is marked.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from bot.domain.issues import Comment, Issue, Person

# From Unicode's table of confusable characters (UTS #39): the letters that look like a Latin one and that NFKC does not
# turn into it, folded; and "vv", "rn", digits and bars, which stand for letters in names that are made to look alike.
_LOOKS = {
    "a": "ɑαаᎪꓮ@", "b": "ƅβвьᏏᏴꓐꞵ", "c": "ϲсᏟᴄⲥꓚ", "d": "ԁᎠᏧꓒꓓđ", "e": "εеҽᎬꓰꬲ3", "f": "ϝքẝꓝꞙꬵ", "g": "ƍɡԍցᏀᏳᶃꓖ",
    "h": "ηнһհᎻᏂⲏꓧ", "j": "ʝϳјᎫꓙ", "k": "κкᏦⲕꓗ", "l": "iıɩɪιіӏᎥꙇǀᏞⲓⳑꓡꓲł1|!", "m": "μϻмᎷⲙꓟ", "n": "νոռⲛꓠ",
    "o": "σοоօჿᴏᴑⲟꓳꬽø0", "p": "ρрᏢⲣꓑ", "q": "ԛգզ", "r": "ʀгᎡᎱᏒᴦⲅꓣꭇꭈ", "s": "ƽѕտᏕᏚꓢꜱ5$", "t": "τтᎢⲧꓔ",
    "u": "ʋυսᴜꓴꞟꭎꭒ", "v": "ѵᏙᴠꓦ", "w": "ɯѡԝաᎳᏔᴡꓪ", "x": "χхⲭꓫꭓ", "y": "ɣʏγуүყᎩᎽᶌỿⲩꓬꭚ", "z": "ζᏃᴢꓜ",
}  # fmt: skip
_TABLE = str.maketrans({look: letter for letter, looks in _LOOKS.items() for look in looks})
_GENERIC = frozenset({"former user", "somebody", "anonymous", "unknown", "deleted user"})
"""What accounts are called that have no name of their own."""
_KINDS = {"atlassian": 0, "customer": 1}


class Involved(NamedTuple):
    """Somebody and what they have to do with the issue, as it follows "who": "is assigned"."""

    person: Person
    role: str


class LookAlike(NamedTuple):
    """An account whose name would be taken for somebody else's."""

    who: Involved
    known: Involved

    @property
    def sentence(self) -> str:
        """For people who decide."""
        (who, role), (known, known_role) = self
        return f"“{who.name}”, who {role}, is not the account of “{known.name}”, who {known_role}"


def look_alikes(issue: Issue, answered: Comment | None = None) -> tuple[LookAlike, ...]:
    """The accounts in an issue whose names look like another's that is nearer to it."""
    known: dict[str, Involved] = {}
    found: dict[Person, LookAlike] = {}
    for seen in sorted(_seen(issue, answered), key=lambda seen: _KINDS.get(seen.person.kind, 2)):
        name = seen.person.name
        if name.strip().casefold() in _GENERIC:
            continue
        for look in _looks(name):
            other = known.setdefault(look, seen)
            if other.person.account_id != seen.person.account_id:
                found.setdefault(seen.person, LookAlike(seen, other))
    return tuple(found.values())


def _seen(issue: Issue, answered: Comment | None) -> Iterator[Involved]:
    """Everybody in an issue, the nearest first."""
    if issue.assignee:
        yield Involved(issue.assignee, "is assigned")
    if issue.reporter:
        yield Involved(issue.reporter, "reported this")
    for comment in issue.comments:
        if not comment.by_us:
            mine = answered is not None and comment.id == answered.id
            yield Involved(comment.author, "wrote what is answered" if mine else "commented")
    named = {p.account_id for p in (issue.assignee, issue.reporter) if p} | {
        c.author.account_id for c in issue.comments
    }
    for account_id, name in issue.people().items():
        if account_id not in named:
            yield Involved(Person(account_id=account_id, name=name), "is mentioned")
    for other in (issue.parent, *issue.links, *issue.children):
        if other and other.assignee:
            yield Involved(other.assignee, f"is assigned to {other.key}")


def _looks(name: str) -> set[str]:
    """What a name looks like, with its parts in their order and sorted; none where it has no letters."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFD", folded) if unicodedata.category(c)[0] != "M")
    plain = bare.translate(_TABLE).replace("vv", "w").replace("rn", "m")
    parts = "".join(c if c.isalnum() else " " for c in plain if unicodedata.category(c) != "Cf").split()
    return {"".join(parts), "".join(sorted(parts))} - {""}
