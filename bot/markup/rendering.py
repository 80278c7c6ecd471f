"""Markdown → what the card shows, what Jira gets, and what a person should look at before they approve. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bot.markup import address, adf, slack
from bot.markup.inlines import Rules
from bot.markup.parse import addresses, plain_tree, tree
from bot.markup.schema import check_adf
from bot.markup.tree import CodeBlock, Foreign, Stranger, Text, Tree, plain, walk
from bot.safety import clean, secrets_in

_ROOM = 9_000
"""Characters that a rendered draft may take on the card. A message has about 13,200; the card needs some itself."""


@dataclass(frozen=True)
class Known:
    """What a reply may link to and whom it may mention.

    `site_host`: host of JIRA_URL, with its port if JIRA_URL names one. `addresses`: every address that stands in the
    issue or its pull requests, in any spelling. `people`: account id → name of everybody in the issue.
    """

    site_host: str
    addresses: frozenset[str]
    people: dict[str, str] = field(default_factory=dict)

    def rules(self) -> Rules:
        """Links by canonical address, mentions by account id."""
        known = {address.canonical(address.of(a)) for a in self.addresses} - {None}

        def href(raw: str) -> str | None:
            found = address.canonical(raw)
            return found if found is not None and (found in known or address.site(self.site_host, found)) else None

        def name(account_id: str) -> str | None:
            if account_id not in self.people:
                return None
            return " ".join(clean(self.people[account_id]).split()) or account_id

        return Rules(href, name)


@dataclass(frozen=True)
class Rendered:
    """One text, rendered from one tree. `warnings` are sentences for the card, without a full stop."""

    tree: Tree
    warnings: tuple[str, ...] = ()

    def adf(self) -> dict[str, Any]:
        """A whole ADF document, valid under `check_adf` and under Atlassian's schema."""
        return adf.document(self.tree)

    def slack(self) -> list[dict[str, Any]]:
        """The `elements` of one `rich_text` block."""
        return slack.elements(self.tree)

    def plain(self) -> str:
        """The words alone, as Jira will show them."""
        return plain(self.tree)


def render(markdown: str, known: Known) -> Rendered:
    """Renders any text; never raises. What cannot be shown faithfully with its formatting loses the formatting."""
    markdown = clean(markdown)
    rules = known.rules()
    made = tree(markdown, rules)
    warnings: list[str] = []
    if check_adf(adf.document(made)) or slack.size(slack.elements(made)) > max(_ROOM, 3 * len(markdown)):
        made = plain_tree(markdown, rules)
        warnings.append("the formatting of this text cannot be shown in Jira (will be posted as plain paragraphs)")
    warnings += _warnings(made, markdown, rules)
    return Rendered(made, tuple(warnings))


def addresses_in(markdown: str) -> frozenset[str]:
    """Every http, https and mailto address in a text, in canonical spelling: what `Known.addresses` is made of."""
    found = (address.canonical(a.strip()) for a in addresses(clean(markdown)))
    return frozenset(a for a in found if a is not None)


def _warnings(made: Tree, markdown: str, rules: Rules) -> Iterable[str]:
    foreign: dict[str, str] = {}
    strangers: dict[str, None] = {}
    for node in walk(made):
        if isinstance(node, Foreign):
            raw = address.of(node.address)
            foreign[raw] = address.host(raw)
        elif isinstance(node, Stranger):
            strangers[node.account_id] = None
        elif isinstance(node, CodeBlock) or (isinstance(node, Text) and "code" in node.marks):
            for start, end in address.bare(node.text):
                raw = address.of(node.text[start:end])
                if rules.href(raw) is None:
                    foreign[raw] = address.host(raw)
    if foreign:
        count = "one link is" if len(foreign) == 1 else f"{len(foreign)} links are"
        yield f"{count} not from the issue: {_some(foreign.values())} (will be posted as plain text)"
    if strangers:
        count = "one mention is" if len(strangers) == 1 else f"{len(strangers)} mentions are"
        yield f"{count} of somebody who is not in the issue: {_some(strangers)} (will be posted as plain text)"
    if secrets := dict.fromkeys((*secrets_in(markdown), *secrets_in(plain(made)))):
        yield f"the text holds what looks like a secret: {_some(secrets)}"


def _some(names: Iterable[str]) -> str:
    distinct = [name if len(name) <= 80 else f"{name[:79]}…" for name in dict.fromkeys(names)]
    more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
    return ", ".join(distinct[:3]) + more
