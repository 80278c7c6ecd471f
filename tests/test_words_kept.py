"""No word that a reader of Jira sees is lost on the way into Markdown, whatever a text is made of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.markup import Known, from_adf, from_body, from_wiki, render

NOBODY = Known("", frozenset(), {})
Json = dict[str, Any]

# --- Atlassian's format: every word is counted --------------------------------------------------------------------

MARKS = st.lists(st.sampled_from([
    {"type": "strong"}, {"type": "em"}, {"type": "strike"}, {"type": "underline"}, {"type": "code"},
    {"type": "subsup", "attrs": {"type": "sup"}}, {"type": "link", "attrs": {"href": "https://a.example/x(1)"}},
    {"type": "textColor", "attrs": {"color": "#ff0000"}},
]), max_size=3)  # fmt: skip
SAID = st.sampled_from(["WORD", " WORD ", "*WORD*", "[WORD](x)", "WORD|WORD", "`WORD`", "# WORD", "<br>WORD", "\\WORD"])
INLINE = st.one_of(
    st.tuples(SAID, MARKS).map(lambda p: {"type": "text", "text": p[0], "marks": p[1]}),
    SAID.map(lambda said: {"type": "status", "attrs": {"text": said}}),
    SAID.map(lambda said: {"type": "emoji", "attrs": {"text": said}}),
    SAID.map(lambda said: {"type": "inlineExtension", "attrs": {"extensionKey": "k", "parameters": {"jql": said}}}),
    SAID.map(lambda said: {"type": "mention", "attrs": {"id": "1", "text": said}}),
    SAID.map(lambda said: {"type": "mediaInline", "attrs": {"alt": said}}),
    st.just({"type": "hardBreak"}),
)
LINE = st.lists(INLINE, max_size=4)


def _holding(kinds: list[str], content: st.SearchStrategy[list[Json]]) -> st.SearchStrategy[Json]:
    attributes = st.fixed_dictionaries(
        {},
        optional={
            "title": SAID, "colspan": st.integers(1, 3), "rowspan": st.integers(1, 3), "state": st.just("DONE"),
            "panelType": st.just("info"), "isNumberColumnEnabled": st.booleans(),
        },
    )  # fmt: skip
    return st.tuples(st.sampled_from(kinds), attributes, content).map(
        lambda p: {"type": p[0], "attrs": p[1], "content": p[2]}
    )


LEAVES = st.one_of(
    _holding(["paragraph", "heading", "taskItem", "decisionItem", "caption"], LINE),
    SAID.map(lambda said: {"type": "codeBlock", "content": [{"type": "text", "text": said}]}),
    SAID.map(lambda said: {"type": "media", "attrs": {"alt": said}}),
)
BLOCKS = st.recursive(
    LEAVES,
    lambda inner: _holding(
        ["bulletList", "orderedList", "taskList", "listItem", "blockquote", "panel", "expand", "nestedExpand", "table",
         "tableRow", "tableCell", "tableHeader", "layoutSection", "layoutColumn", "bodiedExtension", "mediaSingle"],
        st.lists(inner, max_size=3),
    ),
    max_leaves=12,
)  # fmt: skip


def seen(node: Json) -> int:
    """How many times a reader sees the word."""
    attrs = node.get("attrs", {})
    own = [node.get("text", ""), attrs.get("text", ""), attrs.get("alt", ""), str(attrs.get("parameters", ""))]
    own += [attrs.get("title", "")] * (node["type"] in ("expand", "nestedExpand"))
    return sum(words.count("WORD") for words in own) + sum(seen(child) for child in node.get("content", ()))


@settings(max_examples=200, deadline=None)
@given(st.lists(BLOCKS, max_size=4))
def test_every_word_of_a_document_is_in_its_markdown_and_on_the_card(blocks: list[Json]) -> None:
    doc = {"type": "doc", "content": blocks}
    markdown = from_adf(doc)
    assert markdown.count("WORD") >= seen(doc)
    if '"table' not in str(doc) and "mention" not in str(doc):
        made = render(markdown, NOBODY)
        languages = ""
        assert (made.plain() + languages).count("WORD") >= seen(doc)


# --- wiki markup: so is every word of it --------------------------------------------------------------------------

PIECES = st.sampled_from([
    "WORD", "*WORD*", "_WORD_", "{*}WORD{*}", "{_}WORD{_}WORD", "{^}WORD{^}", "{{WORD}}", "[WORD|https://a.example]",
    "[WORD|https://a.example|smart-link]", "[WORD|#x]", "[WORD|^a.txt]", "!a.png|alt=WORD!", "??WORD??", "-WORD-",
    "{color:red}WORD{color}", "{anchor:x}", "(/)", "[~accountid:1]", "WORD|WORD", "{*}", "{_}", "*", "_", "\\\\", "\\{",
    "{code}WORD{code}", "{code:title=WORD|java}x{code}", "{noformat}WORD", "(@WORD)",
    '{adf}{"type":"text","text":"WORD"}{adf}',
])  # fmt: skip
WORDS = st.lists(PIECES, max_size=5).map(" ".join) | st.lists(PIECES, max_size=4).map("".join)
ROW = st.lists(WORDS | st.tuples(WORDS, WORDS).map("\n".join) | WORDS.map("\n* {}".format), min_size=1, max_size=3)
LINES = st.one_of(
    WORDS,
    st.tuples(st.sampled_from(["h2. ", "* ", "** ", "# ", "#* ", "bq. ", "- ", "|", "||", ""]), WORDS).map("".join),
    ROW.map(lambda cells: f"|{'|'.join(cells)}|"),
    ROW.map(lambda cells: f"||{'||'.join(cells)}||"),
    st.sampled_from(["----", "", "{quote}", "{panel}", "{expand:WORD}", "{panel:title=WORD}", "{warning:title=WORD}"]),
    st.sampled_from(["{expand}", "{warning}", "{info}", "{expand:title=WORD [x] *}"]),
)
WIKI = st.lists(LINES, max_size=7).map("\n".join)


@settings(max_examples=500, deadline=None)
@given(WIKI)
def test_every_word_of_wiki_markup_is_in_its_markdown(wiki: str) -> None:
    assert from_wiki(wiki).count("WORD") >= wiki.count("WORD")


# --- and in linear time -------------------------------------------------------------------------------------------


def _table(size: int) -> Json:
    cell = {"type": "tableCell", "attrs": {"rowspan": 1000, "colspan": 100}, "content": []}
    return {"type": "table", "content": [{"type": "tableRow", "content": [cell] * 5}] * (size // 50)}


def _tasks(size: int) -> Json:
    made: Json = {"type": "taskItem", "content": [{"type": "text", "text": "a"}]}
    for _ in range(38):
        made = {"type": "taskList", "content": [made] * (2 if size else 1)}
        size //= 2
    return made


@pytest.mark.parametrize("made", [_table, _tasks])
@pytest.mark.timeout(20)  # linear takes well under a second each; anything worse than linear takes minutes
def test_merged_cells_and_nested_lists_without_end_are_read(made: Any) -> None:
    assert len(from_body(made(100_000))) < 1_000_000


# --- merged cells -------------------------------------------------------------------------------------------------


def row(*cells: tuple[str, int, int] | str, kind: str = "tableCell") -> Json:
    made = [(cell, 1, 1) if isinstance(cell, str) else cell for cell in cells]
    return {
        "type": "tableRow",
        "content": [
            {"type": kind, "attrs": {"colspan": columns, "rowspan": rows},
             "content": [{"type": "paragraph", "content": [{"type": "text", "text": words}]}]}
            for words, columns, rows in made
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "markdown"),
    [
        ([row("Env", "Owner", kind="tableHeader"), row(("prod", 1, 2), "Ann"), row("Bob"), row("test", "Cem")],
         "| Env | Owner |\n| --- | --- |\n| prod | Ann |\n| prod | Bob |\n| test | Cem |"),
        ([row("a", ("b", 2, 1), kind="tableHeader"), row("1", "2", "3")],
         "| a | b | b |\n| --- | --- | --- |\n| 1 | 2 | 3 |"),
        ([row("h", "i", "j", kind="tableHeader"), row("1", ("2", 1, 3), "3"), row("4", "5"), row(), row("6", "7", "8")],
         "| h | i | j |\n| --- | --- | --- |\n| 1 | 2 | 3 |\n| 4 | 2 | 5 |\n|  | 2 |\n| 6 | 7 | 8 |"),
        ([row("h", kind="tableHeader"), row(("a" * 70, 1, 2)), row()],
         f"| h |\n| --- |\n| {'a' * 70} |\n| {'a' * 60}… |"),
        ([row("h", "i", kind="tableHeader"), row(("x", 2, 2)), row(), row("1", "2")],
         "| h | i |\n| --- | --- |\n| x | x |\n| x | x |\n| 1 | 2 |"),
    ],
)  # fmt: skip
def test_a_merged_cells_value_stands_in_its_rows_and_columns(rows: list[Json], markdown: str) -> None:
    assert from_adf({"type": "table", "content": rows}) == markdown


def test_a_cell_that_is_only_a_colour_says_which() -> None:
    cells = [
        {"type": "tableCell", "attrs": {"background": c}} for c in ("#ffbdad", "#fff0b3", "#abf5d1", "#ffffff", "x")
    ]
    assert from_adf({"type": "table", "content": [{"type": "tableRow", "content": cells}]}).splitlines()[-1] == (
        "| (red) | (yellow) | (green) |  |  |"
    )
