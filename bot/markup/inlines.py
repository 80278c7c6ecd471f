"""A line of Markdown, as markdown-it's tokens → inlines of the tree: marks, links judged, mentions resolved. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from bot.markup import address
from bot.markup.tree import PLAIN, Break, Foreign, Inline, Inlines, Link, Mark, Marks, Mention, Stranger, Text
from bot.safety import clean

_LINE_ENDS = re.compile(r"\s*\n\s*")
_BLANKS = re.compile(r"\s{2,}")
_CODE: Marks = frozenset({"code"})
_OPENS: dict[str, Mark] = {"strong_open": "strong", "em_open": "em", "s_open": "strike"}
_CLOSES: dict[str, Mark] = {"strong_close": "strong", "em_close": "em", "s_close": "strike"}


@dataclass(frozen=True)
class Rules:
    """What the tree may hold: `href` gives an allowed link's canonical address, `name` a person's name; or None.

    `issue` gives the key of the issue whose page a canonical address is, or "".
    """

    href: Callable[[str], str | None]
    name: Callable[[str], str | None]
    issue: Callable[[str], str]

    def link(self, href: str, label: tuple[Text, ...]) -> Link:
        return Link(href, label, self.issue(href))


def leaf(text: str, marks: Marks = PLAIN) -> Text:
    """A leaf: entities may have brought back what was cleaned (`&#8203;`), so it is cleaned again."""
    return Text(_LINE_ENDS.sub(" ", clean(text)), marks)


def inlines(tokens: Sequence[Token], rules: Rules, *, cell: bool = False) -> Inlines:
    """The inlines of a line's tokens, addresses judged. `cell`: of a table's cell, where `<br>` is a line end."""
    out: list[Inline] = []
    marks: set[Mark] = set()
    label: list[Inline] | None = None
    href, title = "", Text("")
    for token in tokens:
        into = out if label is None else label
        match token.type:
            case "br" if cell:
                into.append(Break() if label is None else Text(" "))
            case "text" | "text_special" | "html_inline" | "br":
                into.append(leaf(token.content, frozenset(marks)))
            case "code_inline":
                into.append(leaf(token.content, _CODE))
            case "softbreak" | "hardbreak":
                into.append(Break() if label is None else Text(" "))
            case "mention":
                name = rules.name(token.content)
                into.append(Stranger(token.content) if name is None else Mention(token.content, name))
            case "image":
                alt = clean(token.content).strip() or "image"
                into.append(_link(str(token.attrs.get("src", "")), [leaf(alt, frozenset(marks))], rules, marks))
                into.append(_title(token))
            case "link_open":
                href, label, title = str(token.attrs.get("href", "")), [], _title(token)
            case "link_close":
                out += [*_label(href, label or [], rules, marks), title]
                label = None
            case opening if opening in _OPENS:
                marks.add(_OPENS[opening])
            case closing if closing in _CLOSES:
                marks.discard(_CLOSES[closing])
    return trimmed(judged(out, rules))


def _title(token: Token) -> Text:
    """A link's title would be seen by nobody who does not point at it; as words it is seen on the card."""
    title = clean(str(token.attrs.get("title", ""))).strip()
    return leaf(f" “{title}”" if title else "")


def _label(href: str, label: list[Inline], rules: Rules, marks: set[Mark]) -> Iterator[Inline]:
    """A link with its label; images, which may not stand in a label, come after it, so that their address is seen."""
    texts = [
        Text(n.text, frozenset(marks)) if isinstance(n, Mention | Stranger) else n
        for n in label
        if not isinstance(n, Link | Foreign | Break)
    ]
    images = [n for n in label if isinstance(n, Link | Foreign)]
    if texts or not images:
        yield _link(href, texts, rules, marks)
    else:
        yield _link(href, [Text("link", frozenset(marks))], rules, marks)
    for image in images:
        yield Text(" ")
        yield image


def _link(raw: str, label: list[Text], rules: Rules, marks: set[Mark]) -> Link | Foreign | Text:
    raw = clean(raw).strip()
    # Blanks could push what stands behind the label out of sight.
    label = _merged([Text(_BLANKS.sub(" ", t.text), t.marks) for t in label if t.text])
    shown = "".join(t.text for t in label)
    if not shown.strip():
        label, shown = [], ""
    if not raw:
        return Text(shown or "link", frozenset(marks))
    href = rules.href(raw)
    if href is not None:
        return rules.link(href, tuple(label) or (Text(raw, frozenset(marks)),))
    same = shown in (raw, raw.removeprefix("mailto:"))
    raw = _LINE_ENDS.sub(" ", raw)
    return Foreign(shown if same else raw, () if same else tuple(label), frozenset(marks))


def _merged(texts: list[Text]) -> list[Text]:
    """Neighbours with the same marks as one."""
    out: list[Text] = []
    for text in texts:
        if out and out[-1].marks == text.marks:
            out[-1] = Text(out[-1].text + text.text, text.marks)
        else:
            out.append(text)
    return out


def judged(nodes: Sequence[Inline], rules: Rules) -> list[Inline]:
    """Texts merged, empty ones gone, and every bare address in them a link or a marked address."""
    out: list[Inline] = []
    run: list[Text] = []
    for node in (*nodes, None):
        if isinstance(node, Text):
            if node.text:
                run.append(node)
            continue
        for text in _merged(run):
            out += [text] if "code" in text.marks else _with_addresses(text, rules)
        run = []
        if node is not None:
            out.append(node)
    return _joined(out, rules)


def _joined(nodes: Sequence[Inline], rules: Rules) -> list[Inline]:
    """Links in a row that lead to one place as one, as Jira's document has them and shows them."""
    out: list[Inline] = []
    for node in nodes:
        last = out[-1] if out else None
        if isinstance(node, Link) and isinstance(last, Link) and node.href == last.href:
            out[-1] = rules.link(node.href, tuple(_merged([*last.label, *node.label])))
        else:
            out.append(node)
    return out


def _with_addresses(text: Text, rules: Rules) -> Iterator[Inline]:
    done = 0
    for start, end in address.bare(text.text):
        if start > done:
            yield Text(text.text[done:start], text.marks)
        raw = text.text[start:end]
        href = rules.href(address.of(raw))
        yield Foreign(raw, (), text.marks) if href is None else rules.link(href, (Text(raw, text.marks),))
        done = end
    if done < len(text.text):
        yield Text(text.text[done:], text.marks)


def trimmed(nodes: Sequence[Inline]) -> Inlines:
    """Without line ends and blanks at either end; () when nothing is left to see."""
    nodes = list(nodes)
    for end in (-1, 0):
        while nodes and (isinstance(nodes[end], Break) or (isinstance(t := nodes[end], Text) and not t.text.strip())):
            del nodes[end]
    return tuple(nodes)
