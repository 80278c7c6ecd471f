"""Every node, mark and attribute of Atlassian's schema either reaches Markdown or is left out for a reason given here.

A document is generated for each attribute, with a word in it that stands nowhere else. What Atlassian adds to the
schema fails until it is carried, or named below.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.markup import from_adf

SCHEMA = Path(__file__).parents[2] / "shared" / "schemas" / "adf.json"
CANARY = "canaryword"
Json = dict[str, Any]

# Carried as something else than their own letters: the attribute's value → what is read in the Markdown.
READ: dict[str, list[tuple[Any, str]]] = {
    "date.timestamp": [("1795305600000", "2026-11-22")],
    "decisionItem.state": [("DECIDED", "(decision) "), ("UNDECIDED", "(decision: undecided) ")],
    "taskItem.state": [("DONE", "- [x] "), ("TODO", "- [ ] ")],
    "blockTaskItem.state": [("DONE", "- [x] "), ("TODO", "- [ ] ")],
    "heading.level": [(level, "#" * level + " ") for level in range(1, 7)],
    "orderedList.order": [(7, "7. "), (7.0, "7. ")],
    "panel.panelType": [(kind, f"({kind} panel)") for kind in ("info", "note", "tip", "warning", "error", "success")],
    "subsup.type": [("sup", "^"), ("sub", "_")],
    "table.isNumberColumnEnabled": [(True, "| 1 | ")],
    "tableCell.colspan": [(2, "| x | x |")],
    "tableHeader.colspan": [(2, "| x | x |")],
    "tableCell.rowspan": [(2, "| x |\n| x |")],
    "tableHeader.rowspan": [(2, "| x |\n| --- |\n| x |")],
    "tableCell.background": [("#ffbdad", "(red)")],
    "tableHeader.background": [("#abf5d1", "(green)")],
    "mention.userType": [("SPECIAL", "@everybody")],
    "link.href": [("https://a.example/canaryword", "(https://a.example/canaryword)")],
}
# Left out, and why.
LEFT_OUT: dict[str, str] = {
    "*.localId": "an id of the editor's",
    "*.layout": "where it stands on the page",
    "*.width": "a size",
    "*.height": "a size",
    "*.valign": "where it stands in its cell or column",
    "*.collection": "where Atlassian keeps a file: no address that anybody can open",
    "*.occurrenceKey": "where Atlassian keeps a file",
    "*.resourceId": "an id of Atlassian's: its words are not in the document, and that is said",
    "*.colwidth": "a size",
    "alignment.align": "where it stands on the page",
    "annotation.annotationType": "there is one type",
    "annotation.id": "an id of a comment on the page, which is not in the document",
    "backgroundColor.color": "a colour on words: it says nothing that a reply could quote",
    "doc.version": "always 1",
    "blockCard.datasource.views": "which columns a list has; what is searched for is carried",
    "blockCard.datasource.id": "an id of Atlassian's",
    "border.color": "a frame around a picture",
    "border.size": "a frame around a picture",
    "breakout.mode": "a size",
    "codeBlock.hideLineNumbers": "how it is drawn",
    "codeBlock.uniqueId": "an id of the editor's",
    "codeBlock.wrap": "how it is drawn",
    "dataConsumer.sources": "ids of other parts of the page",
    "embedCard.originalHeight": "a size",
    "embedCard.originalWidth": "a size",
    "emoji.id": "an id; the sign or its name is carried",
    "bodiedExtension.extensionKey": "the macro's name; its content and what it was told are carried",
    "bodiedExtension.extensionType": "the vendor of a macro",
    "extension.extensionType": "the vendor of a macro",
    "inlineExtension.extensionType": "the vendor of a macro",
    "fontSize.fontSize": "a size",
    "fragment.name": "the editor's own name of a part, shown to nobody",
    "hardBreak.text": "always a line end",
    "indentation.level": "where it stands on the page",
    "link.id": "where Atlassian keeps a file",
    "media.id": "where Atlassian keeps a file",
    "media.type": "file, link or external: what it has is carried",
    "mediaInline.id": "where Atlassian keeps a file",
    "mediaInline.type": "file, link or image: what it has is carried",
    "mediaInline.data": "what a file's preview is drawn from; the name is in alt",
    "mediaSingle.widthType": "a size",
    "mention.accessLevel": "whether the reader at the time could see the profile",
    "panel.panelColor": "a colour; the kind or icon is carried",
    "panel.panelIconId": "an id; the icon's sign or name is carried",
    "status.color": "a colour; the words say the status",
    "status.style": "how it is drawn",
    "table.displayMode": "how it is drawn",
    "textColor.color": "a colour on words: it says nothing that a reply could quote",
}
# Marks that have no attribute: what Markdown shows of them.
MARKS = {"strong": "**x**", "em": "*x*", "strike": "~~x~~", "code": "`x`"}
MARKS_LEFT_OUT = {"underline": "Markdown has nothing for it, and in Jira it is emphasis without words"}

# --- the schema -------------------------------------------------------------------------------------------------------


@functools.cache
def definitions() -> Json:
    if not SCHEMA.exists():
        pytest.skip(f"NOT CHECKED against Atlassian's own schema: {SCHEMA} is absent", allow_module_level=True)
    return dict(json.loads(SCHEMA.read_text())["definitions"])


def _merged(schema: Json) -> Iterator[Json]:
    """The schemas that a schema consists of, references followed."""
    if "$ref" in schema:
        schema = definitions()[schema["$ref"].rpartition("/")[2]]
    yield schema
    for key in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(key, ()):
            yield from _merged(one)


def _properties(schema: Json) -> dict[str, Json]:
    return {name: value for one in _merged(schema) for name, value in one.get("properties", {}).items()}


def kinds() -> dict[str, tuple[bool, dict[str, Json]]]:
    """Type → (is a mark, its attributes with their schemas)."""
    found: dict[str, tuple[bool, dict[str, Json]]] = {}
    for name, definition in definitions().items():
        types = definition.get("properties", {}).get("type", {}).get("enum", ())
        for kind in types:
            attributes = _properties(definition["properties"].get("attrs", {}))
            own = definition["properties"].keys() - {"type", "attrs", "content", "marks"}
            attributes |= {key: definition["properties"][key] for key in own}
            known = found.get(kind, (False, {}))[1]
            found[kind] = (name.endswith("_mark"), {**known, **attributes})
    return found


def _deep(schema: Json, path: str) -> Iterator[str]:
    """The attribute, or the named parts of one that is an object."""
    parts = _properties(schema)
    if not parts:
        yield path
    for name, inner in parts.items():
        yield from _deep(inner, f"{path}.{name}")


def attributes() -> list[str]:
    return sorted(
        path for kind, (_, found) in kinds().items() for name, schema in found.items()
        for path in _deep(schema, f"{kind}.{name}")
    )  # fmt: skip


# --- documents --------------------------------------------------------------------------------------------------------

# What stands around a node, for it to be one of a document; and in it.
AROUND: dict[str, str] = {
    "listItem": "bulletList", "taskItem": "taskList", "blockTaskItem": "taskList", "decisionItem": "decisionList",
    "tableRow": "table", "tableCell": "tableRow", "tableHeader": "tableRow", "layoutColumn": "layoutSection",
    "media": "mediaSingle", "caption": "mediaSingle",
}  # fmt: skip
INSIDE: dict[str, str] = {
    "bulletList": "listItem", "orderedList": "listItem", "taskList": "taskItem", "decisionList": "decisionItem",
    "table": "tableRow", "tableRow": "tableCell", "layoutSection": "layoutColumn", "mediaSingle": "media",
    "mediaGroup": "media", "paragraph": "text", "heading": "text", "codeBlock": "text", "caption": "text",
    "taskItem": "text", "decisionItem": "text",
}  # fmt: skip
EMPTY = {
    "text", "rule", "hardBreak", "mention", "emoji", "date", "status", "placeholder", "inlineCard", "blockCard",
    "embedCard", "media", "mediaInline", "extension", "inlineExtension", "syncBlock",
}  # fmt: skip
NEEDED: dict[str, Json] = {"panel": {"panelType": "custom"}, "mention": {"id": ""}}


def node(kind: str, attrs: Json, *, words: str = "x", empty: bool = False) -> Json:
    """A node with these attributes, and with what belongs into it."""
    attrs = {**NEEDED.get(kind, {}), **attrs}
    if kind == "text":
        return {"type": "text", "text": attrs.pop("text", words), **attrs}
    made: Json = {"type": kind, "attrs": attrs}
    if kind == "media" and words != "x":
        attrs["alt"] = words
    if kind not in EMPTY and not empty:
        made["content"] = [node(INSIDE.get(kind, "paragraph"), {}, words=words)]
    return made


def document(kind: str, attrs: Json, *, words: str = "x", empty: bool = False) -> Json:
    """A document around such a node; a mark stands on words."""
    if kinds()[kind][0]:
        marked = {"type": "text", "text": words, "marks": [{"type": kind, "attrs": {**LINKED.get(kind, {}), **attrs}}]}
        return {"type": "doc", "content": [{"type": "paragraph", "content": [marked]}]}
    made = node(kind, attrs, words=words, empty=empty)
    if kind == "mention":  # everybody
        made["attrs"].setdefault("text", "@everybody")
    while around := AROUND.get(made["type"]):
        rest = [{"type": "tableRow", "content": []}] if "rowspan" in attrs and around == "table" else []
        made = {"type": around, "content": [made, *rest]}
    return {"type": "doc", "content": [made]}


LINKED: dict[str, Json] = {"link": {"href": "https://a.example/"}}


def nested(path: str, value: Any) -> tuple[str, Json]:
    """`blockCard.datasource.views` → ("blockCard", {"datasource": {"views": value}})."""
    kind, *names = path.split(".")
    for name in reversed(names):
        value = {name: value}
    return kind, value


# --- the tests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", attributes())
def test_every_attribute_reaches_markdown_or_is_left_out_for_a_reason(path: str) -> None:
    name = path.partition(".")[2]
    if path in READ:
        for value, read in READ[path]:
            empty = name == "background"
            assert read in from_adf(document(*nested(path, value), empty=empty)), f"{path}={value} says nothing"
        return
    reason = LEFT_OUT.get(path) or LEFT_OUT.get(f"*.{name}")
    free = any(CANARY in from_adf(document(*nested(path, value))) for value in values(path))
    if reason:
        assert not free, f"{path} is carried: it need not stand in LEFT_OUT"
    else:
        assert free, f"{path} is lost, and no reason is given"


def values(path: str) -> list[Any]:
    """Values in which the canary stands, as text, address or parameters."""
    address = f"https://a.example/{CANARY}"
    if path.endswith((".url", ".href")):
        return [address]
    return [CANARY, {"name": CANARY}, [{"name": CANARY}], {"macroParams": {"title": {"value": CANARY}}}]


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_every_node_carries_the_words_in_it_and_every_mark_those_under_it(kind: str) -> None:
    is_mark, found = kinds()[kind]
    if is_mark:
        markdown = from_adf(document(kind, {}))
        assert "x" in markdown
        if not found:
            assert (kind in MARKS) != (kind in MARKS_LEFT_OUT), f"{kind} is a mark that nobody thought of"
            assert markdown == MARKS.get(kind, "x")
    elif kind not in EMPTY:
        assert CANARY in from_adf(document(kind, {}, words=CANARY))
    elif kind != "hardBreak":
        assert from_adf(document(kind, SHOWN.get(kind, {}))).strip() not in ("", "x"), f"{kind} is not seen"


# What a node without content needs, to be seen.
SHOWN: dict[str, Json] = {
    "text": {"text": "words"}, "mention": {"id": "1"}, "emoji": {"shortName": ":x:"}, "date": {"timestamp": "0"},
    "status": {"text": "DONE"}, "placeholder": {"text": "words"},
    **{kind: {"url": "https://a.example/"} for kind in ("inlineCard", "blockCard", "embedCard")},
}  # fmt: skip


def test_no_reason_is_given_for_what_is_not_in_the_schema() -> None:
    there = set(attributes())
    assert READ.keys() <= there
    for path in LEFT_OUT:
        assert path in there or any(path[0] == "*" and one.endswith(path[1:]) for one in there), path
    assert not READ.keys() & LEFT_OUT.keys()
    assert MARKS.keys() | MARKS_LEFT_OUT.keys() <= kinds().keys()
