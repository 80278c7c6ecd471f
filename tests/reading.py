"""Two readers of one reply: what a person reads on the card, and what of the ADF document that person has to have read.

Neither knows our renderer: `card` walks Slack's JSON, `document` walks Atlassian's. Both give lines of characters, each
with its place (list, number, level, quotation, code), its styles and the address behind it. `differences` lays one
beside the other. How Slack shows what it has no element for is agreed here: `## ` before a heading, bars between cells,
dashes for a rule, a language in italics above its code, a link's host behind it. In the frame of bars a quotation's
lines begin with `> `. What will be plain text is quoted outside the frame (`unquoted`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

Json = dict[str, Any]
Style = frozenset[str]
NO_STYLE: Style = frozenset()
BOLD: Style = frozenset({"bold"})
QUOTED = "> "
_STYLES = {"strong": "bold", "em": "italic", "strike": "strike", "code": "code"}
_ADDRESS = re.compile(r"https?://[\w-]+(?:\.[\w-]+)+[^\s()\[\]<>⚠]*")
# Every key that a node may have, with the attributes: one that is not read here would reach Jira unseen.
_ATTRIBUTES = {
    "heading": {"level"}, "orderedList": {"order"}, "codeBlock": {"language"}, "mention": {"id", "text"},
    "link": {"href"},
}  # fmt: skip
_KEYS = {"type", "content", "attrs", "text", "marks", "version"}


@dataclass(frozen=True)
class Char:
    """A character as it is seen. `beside` (document only): behind it the reader has to be told where its link leads."""

    char: str
    style: Style = NO_STYLE
    url: str | None = None
    beside: str = ""


@dataclass
class Line:
    """`place`: ("text" | "code" | "•" | "3." | "more", level, quoted)."""

    place: tuple[str, int, bool]
    chars: list[Char] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.place} {''.join(c.char for c in self.chars)!r}"


# --- the card ---------------------------------------------------------------------------------------------------------


def card(elements: list[Json], *, bars: bool = False) -> list[Line]:
    """The lines of a rich_text block's elements, as Slack shows them. `bars`: those at the left are the frame's."""
    lines: list[Line] = []
    for element in elements:
        barred = element["type"] == "rich_text_quote" or element.get("border") == 1
        assert barred or not bars, f"outside the frame: {element}"
        quoted = barred and not bars
        if element["type"] == "rich_text_list":
            for number, item in enumerate(element["elements"], element.get("offset", 0) + 1):
                sign = f"{number}." if element["style"] == "ordered" else "•"
                lines += _split(_spans(item), (sign, element["indent"], quoted), ("more", element["indent"], quoted))
        else:
            place = "code" if element["type"] == "rich_text_preformatted" else "text"
            lines += _split(_spans(element), (place, 0, quoted), (place, 0, quoted))
    return lines


def _spans(element: Json) -> Iterator[Char]:
    for item in element["elements"]:
        assert item["type"] in ("text", "link"), item
        style = frozenset(name for name, on in item.get("style", {}).items() if on)
        for char in item["text"]:
            yield Char(char, style, item["url"] if item["type"] == "link" else None)


def _split(chars: Iterator[Char], first: tuple[str, int, bool], other: tuple[str, int, bool]) -> list[Line]:
    lines = [Line(first)]
    for char in chars:
        if char.char == "\n":
            lines.append(Line(other))
        else:
            lines[-1].chars.append(char)
    return lines


# --- the document -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What the reader knows: the site they browse, and who has which account."""

    site: str
    people: Mapping[str, str]
    bars: bool = False
    """Whether the frame is made of bars, so that a quotation needs another sign."""

    def document(self, doc: Json) -> list[Line]:
        """The lines that a card has to show for this ADF document."""
        assert doc["version"] == 1
        return self._blocks(doc["content"], 0, quoted=False)

    def _flat(self, blocks: list[Json], quoted: bool) -> Iterator[tuple[Json, bool]]:
        """Blocks in reading order, and whether they are quoted: among bars a quotation stands not by itself."""
        for block in blocks:
            inner = block["content"] if self.bars and block["type"] == "blockquote" else [block]
            yield from ((one, quoted or inner != [block]) for one in inner)

    def _quotation(self, chars: Iterator[Char], *, quoted: bool) -> Iterator[Char]:
        if not (quoted and self.bars):
            yield from chars
            return
        yield from map(Char, QUOTED)
        for char in chars:
            yield char
            yield from map(Char, QUOTED if char.char == "\n" else "")

    def _blocks(self, blocks: list[Json], level: int, *, quoted: bool) -> list[Line]:
        lines: list[Line] = []
        joined = False
        for block, is_quoted in self._flat(blocks, quoted):
            _all_is_read(block)
            kind = block["type"]
            place = ("text", 0, is_quoted and not self.bars)
            if kind in ("paragraph", "heading", "rule", "table"):
                lines += [Line(place)] if joined else []
                lines += _split(self._quotation(self._words(block), quoted=is_quoted), place, place)
                joined = True
                continue
            joined = False
            match kind:
                case "blockquote":
                    lines += self._blocks(block["content"], level, quoted=True)
                case "codeBlock":
                    if language := block.get("attrs", {}).get("language"):
                        lines.append(Line(place, [Char(c, frozenset({"italic"})) for c in language]))
                    code = "".join(node["text"] for node in block["content"])
                    place = ("code", 0, place[2])
                    lines += _split(self._quotation(map(Char, code), quoted=is_quoted), place, place)
                case "bulletList" | "orderedList":
                    lines += self._list(block, level, quoted=is_quoted)
                case _:
                    raise AssertionError(f"nobody reads a {kind}")
        return lines

    def _list(self, block: Json, level: int, *, quoted: bool) -> list[Line]:
        lines: list[Line] = []
        for number, item in enumerate(block["content"], block.get("attrs", {}).get("order", 1)):
            _all_is_read(item)
            sign = f"{number}." if block["type"] == "orderedList" else "•"
            words: list[Char] = []
            rest = list(item["content"])
            while rest and rest[0]["type"] == "paragraph":
                words += [Char("\n"), Char("\n")] if words else []
                words += self._quotation(self._words(rest.pop(0)), quoted=quoted)
            bar = quoted and not self.bars
            lines += _split(iter(words or [Char(" ")]), (sign, level, bar), ("more", level, bar))
            for block_after in rest:  # each stands for itself in Slack: no blank line between them
                lines += self._blocks([block_after], level + 1, quoted=quoted)
        return lines

    def _words(self, block: Json) -> Iterator[Char]:
        match block["type"]:
            case "rule":
                yield from map(Char, "———")
            case "heading":
                yield from (Char(c, BOLD) for c in "#" * block["attrs"]["level"] + " ")
                yield from self._inlines(block["content"], BOLD)
            case "table":
                for number, row in enumerate(block["content"]):
                    _all_is_read(row)
                    yield from [Char("\n")] if number else []
                    for cell in row["content"]:
                        _all_is_read(cell)
                        [paragraph] = cell["content"]
                        yield from map(Char, "| ")
                        header = cell["type"] == "tableHeader"
                        yield from self._inlines(paragraph.get("content", []), BOLD if header else NO_STYLE)
                        yield Char(" ")
                    yield Char("|")
            case _:
                yield from self._inlines(block.get("content", []), NO_STYLE) if block.get("content") else [Char(" ")]

    def _inlines(self, nodes: list[Json], base: Style) -> Iterator[Char]:
        for node in nodes:
            _all_is_read(node)
            match node["type"]:
                case "hardBreak":
                    yield Char("\n")
                case "mention":
                    yield from (Char(c, BOLD) for c in self._name(node["attrs"]))
                case "text":
                    yield from self._text(node, base)
                case kind:
                    raise AssertionError(f"nobody reads a {kind}")

    def _name(self, attrs: Json) -> str:
        """`@Name`, and with the account's id where two people have the name: nobody is notified in another's name."""
        name = self.people[attrs["id"]]
        alone = sum(other.casefold() == name.casefold() for other in self.people.values()) == 1
        expected = f"@{name}" if alone else f"@{name} ({attrs['id']})"
        assert attrs["text"] == expected
        return expected

    def _text(self, node: Json, base: Style) -> Iterator[Char]:
        marks = node.get("marks", [])
        for mark in marks:
            _all_is_read(mark)
        href = next((m["attrs"]["href"] for m in marks if m["type"] == "link"), None)
        style = base | {_STYLES[m["type"]] for m in marks if m["type"] != "link"}
        *chars, last = [Char(c, style, href) for c in node["text"]]
        yield from chars
        yield last if href is None else Char(last.char, style, href, href)


def _all_is_read(node: Json) -> None:
    assert node.keys() <= _KEYS, node
    assert node.get("attrs", {}).keys() <= _ATTRIBUTES.get(node["type"], set()), node


# --- side by side -----------------------------------------------------------------------------------------------------


def differences(world: World, doc: Json, elements: list[Json]) -> list[str]:
    """What the card shows otherwise than the document has it; [] where a reader has seen everything."""
    posted, shown = world.document(doc), card(elements, bars=world.bars)
    for number in range(max(len(posted), len(shown))):
        here = posted[number] if number < len(posted) else None
        there = shown[number] if number < len(shown) else None
        if here is None or there is None or here.place != there.place or not _aligned(world, here.chars, there.chars):
            return [f"line {number}: posted {here}, shown {there}"]
    return []


def unquoted(doc: Json, elements: list[Json], outside: str) -> list[str]:
    """Addresses in the frame that are no links, no code, and not told of in the ⚠ lines outside: a person would take
    them for links, or overlook them. A line that names a few ends in how many more there are; a long text is quoted
    with its end or its beginning cut off; and what is glued of several texts is in Jira no address."""
    if re.search(r" and \d+ more$", outside, re.MULTILINE):
        return []
    texts = [str(node["text"]) for node in _nodes(doc) if node.get("type") == "text"]
    quoted = [quote for quote in re.findall("“([^”]*)”", outside) if "…" in (quote[:1], quote[-1:])]
    words = [word for text in texts for word in text.split() if any(_is_cut_of(word, quote) for quote in quoted)]
    found = [one for line in card(elements) if line.place[0] != "code" for one in _addresses(line.chars)]
    return [
        one
        for one in found
        if one[:20] not in outside
        and not any(host in outside for host in _hosts(one))
        and any(one in text for text in texts)
        and not any(one in word for word in words)
    ]


def _is_cut_of(word: str, quote: str) -> bool:
    """Whether a quote with an ellipsis is what is left of this word."""
    return word.startswith(quote[:-1]) if quote.endswith("…") else word.endswith(quote[1:])


def _nodes(node: Json) -> Iterator[Json]:
    yield node
    for child in node.get("content") or ():
        yield from _nodes(child)


def _hosts(address: str) -> list[str]:
    """The end of an address's host, as it is written and as browsers understand it."""
    host = urlsplit(address).netloc.rpartition("@")[2]
    try:
        return [one[-30:] for one in (host, host.encode("idna").decode()) if one]
    except UnicodeError:
        return [host[-30:]] if host else []


def _aligned(world: World, posted: list[Char], shown: list[Char]) -> bool:
    """Whether `shown` is `posted`, and behind each link where it leads."""
    ways = [(0, 0)]
    tried = set()
    while ways:
        i, j = ways.pop()
        if (i, j) in tried:
            continue
        tried.add((i, j))
        if i == len(posted) and j == len(shown):
            return True
        if i < len(posted) and j < len(shown) and _same(posted[i], shown[j]):
            ways += [(i + 1, j + 1 + skip) for skip in _told(world, posted, i, shown, j + 1)]
    return False


def _same(posted: Char, shown: Char) -> bool:
    # Of a blank nobody sees whether it is bold.
    style = posted.char.isspace() or posted.style == shown.style
    return posted.char == shown.char and style and posted.url == shown.url


def _at(shown: list[Char], at: int, words: str) -> bool:
    there = shown[at : at + len(words)]
    return "".join(c.char for c in there) == words and all(c.url is None for c in there)


def _told(world: World, posted: list[Char], i: int, shown: list[Char], j: int) -> list[int]:
    """How many characters of `shown` may tell where the link leads that ends with `posted[i]`; [] where it is not told.

    A link in several pieces (bold words in it) tells it behind the last.
    """
    href = posted[i].beside
    if not href:
        return [0]
    start = i
    while start and posted[start - 1].url == href:
        start -= 1
    scheme, _, rest = href.partition("://" if "://" in href else ":")
    host = urlsplit(href).netloc if scheme != "mailto" else rest
    goes_on = i + 1 < len(posted) and posted[i + 1].url == href
    may = [0] if goes_on else []
    labels = {"".join(c.char for c in posted[at : i + 1]) for at in range(start, i + 1)}
    if any(_says_it(world, label, href, rest) for label in labels):
        may.append(0)
    label = "".join(c.char for c in posted[start : i + 1])
    beside = [rest] if _says_something_else(label, href) else [host, rest]
    return may + [len(f" ({one})") for one in beside if _at(shown, j, f" ({one})")]


def _says_it(world: World, label: str, href: str, rest: str) -> bool:
    """The label is the address, or the key of the issue whose page it is."""
    if label.rstrip("/") in (href.rstrip("/"), rest.rstrip("/")):
        return True
    return re.fullmatch(r"[A-Z][A-Z0-9_]+-\d+", label) is not None and href == f"{world.site}/browse/{label}"


def _says_something_else(label: str, href: str) -> bool:
    """The label is the key of an issue, or begins with an address, and the link leads elsewhere."""
    if re.fullmatch(r"[A-Z][A-Z0-9_]+-\d+", label):
        return not href.endswith(f"/browse/{label}")
    stated = re.match(r"https?://[^\s<>\[\]{}|\\^`\"]+", label)  # what RFC 3986 has in an address
    return stated is not None and not unquote(href).startswith(_in_letters(stated[0].rstrip("/.,)#*~_")))


def _in_letters(address: str) -> str:
    """An address as browsers understand it: other alphabets' hosts in ASCII, without the usual port."""
    host = urlsplit(address).netloc
    return unquote(address).replace(host, host.encode("idna").decode().removesuffix(":443"), 1)


def _whole_addresses(words: str, shown: list[Char]) -> list[tuple[int, int]]:
    """Where the whole of a link's address stands in brackets behind it."""
    found = []
    for at, char in enumerate(shown):
        told = f" ({(char.url or '').partition('://')[2]})"
        if char.url and words.startswith(told, at + 1):
            found.append((at + 1, at + 1 + len(told)))
    return found


def _addresses(shown: list[Char]) -> list[str]:
    """Addresses that are neither links nor code."""
    words = "".join(c.char for c in shown)
    beside = _whole_addresses(words, shown)
    found = []
    for match in _ADDRESS.finditer(words):
        here = shown[match.start() : match.end()]
        if any(start < match.start() < end for start, end in beside):
            continue  # a part of the address that a link leads to, told behind it
        if any(c.url or "code" in c.style for c in here) or len({c.style for c in here}) > 1:
            continue
        found.append(match[0])
    return found
