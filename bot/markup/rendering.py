"""Markdown → what the card shows, what Jira gets, and what a person should look at before they approve. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bot.markup import address
from bot.markup import to_adf as adf
from bot.markup import to_slack as slack
from bot.markup.adf_schema import check_adf
from bot.markup.inlines import Rules
from bot.markup.parse import addresses, formatted, plain_tree
from bot.markup.tree import CodeBlock, Foreign, Link, Mention, Stranger, Text, Tree, plain_text, walk
from bot.safety import clean, secrets_in
from bot.safety.quoting import in_marks, shortened, sign_in

MAX_CARD_JSON = 8_500
"""Characters of JSON that a rendered draft may take on the card. A message has about 13,200; the card needs some."""
_NAME = 60
"""Characters of a host, a person or a label that is named in a warning."""
_NAMED, _ROOM_FOR_NAMES = 5, 300
"""How many of them one warning names, and in how many characters."""


@dataclass(frozen=True)
class Known:
    """What a reply may link to and whom it may mention.

    `site_host`: host of JIRA_URL, with its port if JIRA_URL names one. `addresses`: every address that stands in the
    issue or its pull requests, in any spelling. `people`: account id → name of everybody in the issue. `site_path`:
    JIRA_URL's path, which a stand-in may have.
    """

    site_host: str
    addresses: frozenset[str]
    people: dict[str, str] = field(default_factory=dict)
    site_path: str = ""

    def rules(self) -> Rules:
        """Links by canonical address, mentions by account id."""
        known = {address.canonical_address(address.of(a)) for a in self.addresses} - {None}

        def href(raw: str) -> str | None:
            found = address.canonical_address(raw)
            return found if found is not None and (found in known or address.site(self.site_host, found)) else None

        shown = {account: " ".join(clean(name).split()) or account for account, name in self.people.items()}
        times = Counter(name.casefold() for name in shown.values())

        def name(account_id: str) -> str | None:
            found = shown.get(account_id)
            # Two people of one name are told apart, so that nobody is notified in another's name.
            return f"{found} ({account_id})" if found and times[found.casefold()] > 1 else found

        return Rules(href, name, lambda found: address.issue(self.site_host, found, self.site_path))


@dataclass(frozen=True)
class Rendered:
    """One text, rendered from one tree. `warnings` are sentences for the card, without a full stop.

    `unformatted`: it could not be parsed, so the tree is its Markdown in plain paragraphs.
    """

    tree: Tree
    warnings: tuple[str, ...] = ()
    unformatted: bool = False

    @cached_property
    def problem(self) -> str:
        """Why it may be neither approved nor posted, as the end of a sentence that begins with "the reply"; or ""."""
        if self.unformatted or slack.too_deep(self.tree):
            return "cannot be shown whole in one Slack message: it is nested too deeply"
        if max(slack.size(self.slack()), slack.size(self.barred())) > MAX_CARD_JSON:
            parts = "items, cells, links, formatted words"
            return f"cannot be shown whole in one Slack message: it has too many parts ({parts})"
        return "cannot be put into Jira's format" if check_adf(self.adf()) else ""

    def adf(self) -> dict[str, Any]:
        """A whole ADF document, valid under `check_adf` and under Atlassian's schema unless there is a `problem`."""
        return adf.document(self.tree)

    def slack(self) -> list[dict[str, Any]]:
        """The `elements` of one `rich_text` block; all of what `adf` holds unless there is a `problem`."""
        return slack.elements(self.tree)

    def barred(self) -> list[dict[str, Any]]:
        """The same for a Slack that has no frame for them: a bar stands at the left of every line."""
        return slack.barred(self.tree)

    def plain(self) -> str:
        """The words alone, as Jira will show them."""
        return plain_text(self.tree)

    @property
    def notified(self) -> tuple[str, ...]:
        """The names of everybody whom Jira will notify, each once."""
        return tuple(dict.fromkeys(node.name for node in walk(self.tree) if isinstance(node, Mention)))

    @property
    def digest(self) -> str:
        """Hex digest of what is shown and what is posted: equal where both are."""
        return hashlib.sha256(json.dumps([self.adf(), self.slack()]).encode()).hexdigest()


def render(markdown: str, known: Known) -> Rendered:
    """Renders any text; never raises."""
    markdown = clean(markdown)
    rules = known.rules()
    found = formatted(markdown, rules)
    made = plain_tree(markdown, rules) if found is None else found
    return Rendered(made, tuple(_warnings(made, markdown, rules)), unformatted=found is None)


def addresses_in(markdown: str) -> frozenset[str]:
    """Every http, https and mailto address in a text, in canonical spelling: what `Known.addresses` is made of."""
    found = (address.canonical_address(a.strip()) for a in addresses(clean(markdown)))
    return frozenset(a for a in found if a is not None)


def _warnings(made: Tree, markdown: str, rules: Rules) -> Iterable[str]:
    """What stands in the frame and is to be looked at, quoted: nothing in the frame itself is marked."""
    foreign: dict[tuple[str, str], str] = {}  # the address with the words before it, of which there may be several
    strangers: dict[str, None] = {}
    misleading: dict[str, None] = {}
    for node in walk(made):
        if isinstance(node, Foreign):
            raw = address.of(node.address)
            words = "".join(t.text for t in node.label)
            foreign[raw, words] = _leading(words, raw) if words else _quoted_address(raw)
        elif isinstance(node, Stranger):
            strangers[in_marks(_short(node.text))] = None
        elif isinstance(node, Link):
            if node.misleads:
                misleading[_leading(node.words, node.href)] = None
        elif isinstance(node, CodeBlock) or (isinstance(node, Text) and "code" in node.marks):
            for start, end in address.bare(node.text):
                raw = address.of(node.text[start:end])
                if rules.href(raw) is None:
                    foreign[raw, ""] = _quoted_address(raw)
    worded = {raw for raw, words in foreign if words}
    told = [said for (raw, words), said in foreign.items() if words or raw not in worded]
    if told:
        count = "one link is" if len(told) == 1 else f"{len(told)} links are"
        yield f"{count} not from the issue, and will be posted as plain text: {_some(told)}"
    if misleading:
        many = len(misleading) > 1
        count = (
            f"{len(misleading)} links are not what their words say" if many else "one link is not what its words say"
        )
        yield f"{count}: {_some(misleading)}"
    if strangers:
        count = "one mention is" if len(strangers) == 1 else f"{len(strangers)} mentions are"
        yield f"{count} of somebody who is not in the issue, and will be posted as plain text: {_some(strangers)}"
    words = plain_text(made)
    if secrets := dict.fromkeys((*secrets_in(markdown), *secrets_in(words))):
        yield f"the text holds what looks like a secret: {_some(secrets)}"
    if sign := sign_in(words):
        yield f"{in_marks(shortened(sign, _NAME))} is said by the reply, not by PM Agent"


def _some(names: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(names))
    named = next((n for n in range(_NAMED, 1, -1) if sum(map(len, distinct[:n])) <= _ROOM_FOR_NAMES), 1)
    more = f" and {len(distinct) - named} more" if len(distinct) > named else ""
    return ", ".join(distinct[:named]) + more


def _leading(words: str, href: str) -> str:
    return f"{in_marks(_short(words))} leads to {_short(address.host(href))}"


def _quoted_address(raw: str) -> str:
    """An address as it stands in the text, and its host where that cannot be read off its beginning."""
    host, beginning = _short(address.host(raw)), shortened(raw, _NAME)
    return in_marks(beginning) if host in beginning else f"{in_marks(beginning)} at {host}"


def _short(name: str) -> str:
    """Its end: that is what a host belongs to."""
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
