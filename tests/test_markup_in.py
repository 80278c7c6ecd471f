"""`bot.markup`, the way in: Jira's wiki markup and ADF → Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.markup import (
    CUT,
    MAX_TEXT,
    Known,
    address,
    escape,
    from_adf,
    from_body,
    from_wiki,
    render,
    wiki,
    wiki_inline,
)
from bot.safety import REDACTED

FIXTURES = Path(__file__).parents[2] / "shared" / "fixtures" / "jira"
NOBODY = Known("", frozenset(), {})


def paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": list(content)}]}


def text(words: str, **marks: str) -> dict[str, Any]:
    return {"type": "text", "text": words, "marks": [_mark(name, value) for name, value in marks.items()]}


def _mark(name: str, value: str) -> dict[str, Any]:
    return {"type": name} | ({"attrs": {"href": value}} if name == "link" else {})


# --- wiki -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wiki", "markdown"),
    [
        ("", ""),
        ("plain words", "plain words"),
        ("h2. Title\ntext", "## Title\n\ntext"),
        ("*bold* _it_ -gone- +new+ H~2~O x^2^ ??cite??", "**bold** *it* ~~gone~~ new H~2~O x^2^ *cite*"),
        ("*bold _both_*, (*b*)", "**bold *both***, (**b**)"),
        ("{{a * b}} and {{x`y}}", "`a * b` and ``x`y``"),
        ("[text|https://a.example/x_y]", "[text](https://a.example/x_y)"),
        ("[https://a.example/x]", "<https://a.example/x>"),
        ("[https://a.example|https://a.example|smart-link]", "<https://a.example>"),
        ("[*b* c|https://a.example/(x)]", "[**b** c](<https://a.example/(x)>)"),
        ("[x|javascript:alert(1)]", "x (javascript:alert(1))"),
        ("[mail|mailto:a@b.example]", "[mail](mailto:a@b.example)"),
        ("[up|#top] [^log.txt] [yes|no] [ECD-1]", "up (file: log.txt) [yes|no] [ECD-1]"),
        ("[~accountid:712020:1] and [~user]", "[~accountid:712020:1] and [~user]"),
        ("!shot.png|thumbnail! Wow! Great!", "(image: shot.png) Wow! Great!"),
        ("!https://a.example/i.png!", "[image](https://a.example/i.png)"),
        ("* a\n** b\n*# c\n*# d\n* e", "- a\n  - b\n  1. c\n  2. d\n- e"),
        ("# a\n## b\n# c\n\n# d", "1. a\n   1. b\n2. c\n\n1. d"),
        ("- a\nstill a\n- b", "- a\n  still a\n- b"),
        ("{code:python}x=1{code}", "```python\nx=1\n```"),
        ("{code:title=deploy.sh|bash}\nx\n{code}", "**deploy.sh**\n\n```bash\nx\n```"),
        ("{code:java|title=a *b*}x{code}", "**a \\*b\\***\n\n```java\nx\n```"),
        ("{noformat:title=log}x{noformat}", "**log**\n\n```\nx\n```"),
        ("{code:Objective C (2.0)}x{code}", "**Objective-C-(2.0)**\n\n```\nx\n```"),
        ("{noformat}a ``` *b*{noformat}", "````\na ``` *b*\n````"),
        ("{code}never *closed*", "never **closed**"),
        ("{quote}\nhi *there*\n\n* a\n{quote}\nafter", "> hi **there**\n>\n> - a\n\nafter"),
        ("bq. said\nafter", "> said\n\nafter"),
        ("{color:red}red{color} {anchor:x}text", "red text"),
        ("{*}Stop{*}ped {_}x{_}, {-}a{-}{+}b{+}", "**Stop**ped *x*, ~~a~~b"),
        ("{*}Stop {*}now *{_}x{_}* {*}{_}y{_}{*} {*}open", "**Stop** now ***x*** ***y*** {\\*}open"),
        ("10{^}6{^} H{~}2{~}O x{^}a b{^} ^up^", "10^6 H_2O x^(a b) ^up"),
        ("{panel:title=Note|bgColor=#fff}\ninside\n{panel}", "**Note**\n\ninside"),
        ("{panel:bgColor=#fffae6}\ninside\n{panel}after", "(warning panel)\n\ninside\n\nafter"),
        ("{warning:title=Mind *it*}a{warning}{note}b{note}",
         "(warning panel)\n**Mind \\*it\\***\na\n\n(note panel)\nb"),
        ("{expand:Log of node 7}\na\n{expand}", "**Log of node 7**\n\na"),
        ("{expand:title=Log}a{expand}{expand}b{expand}", "**Log**\na\n\nb"),
        ("Done (/) failed (x) f(x) (y)?", "Done ✅ failed ❌ f(x) 👍?"),
        ("[the boss|~accountid:1] [log|^a.txt] [^a.txt]", "the boss [~accountid:1] log (file: a.txt) (file: a.txt)"),
        ("[text|https://a.example/|smart-link] [b|https://a.example/|A title]",
         '[text](https://a.example/) [b](https://a.example/ "A title")'),
        ('!shot.png|width=300,alt="the red error"! !https://a.example/i.png|alt=Chart!',
         "(image: shot.png, the red error) [Chart](https://a.example/i.png)"),
        ("||h||i||\n|a\n\n* b\n* c|d|\n|e|{code:py}x\ny{code}|\nafter",
         "| h | i |\n| --- | --- |\n| a<br>- b<br>- c | d |\n| e | py<br>`x`<br>`y` |\n\nafter"),
        ("|a|b\n|c|d|", "|  |  |\n| --- | --- |\n| a | b |\n| c | d |"),
        ("||Env|prod|\n||Owner|Ann|", "|  |  |\n| --- | --- |\n| Env | prod |\n| Owner | Ann |"),
        ("|a\nno row", "|a\nno row"),
        ("|{panel:title=T}\nx\n{panel}|{quote}q{quote}|", "|  |  |\n| --- | --- |\n| **T**<br>x | q |"),
        ("see <br> and |x|", "see \\<br> and |x|"),
        ('due {adf:display=inline}{"type":"date","attrs":{"timestamp":"0"}}{adf}, then', "due 1970-01-01, then"),
        ("||h||i||\n|a [x|https://a.example]|b|\n|c|{{d|e}}|",
         "| h | i |\n| --- | --- |\n| a [x](https://a.example) | b |\n| c | `d\\|e` |"),
        ("|a|b|", "|  |  |\n| --- | --- |\n| a | b |"),
        ("a\n----\nb", "a\n\n---\n\nb"),
        ("one\\\\two", "one\ntwo"),
        ("\\*not bold\\* \\{x}", "\\*not bold\\* {x}"),
        ("snake_case_name 5-3-2 C:\\temp", "snake_case_name 5-3-2 C:\\temp"),
        ("a&nbsp;b", "a b"),
        ('{adf}{"type":"paragraph","content":[{"type":"text","text":"deep"}]}{adf}', "deep"),
        ("{adf}no json{adf}", "```json\nno json\n```"),
    ],
)  # fmt: skip
def test_wiki_markup_becomes_markdown(wiki: str, markdown: str) -> None:
    assert from_wiki(wiki) == markdown


@pytest.mark.parametrize(
    "words",
    [
        *("# no heading", "> 5 minutes", "2*3*4", "===", "a\n---", "`tick`", "&amp;", "a | b\n--- | ---", "[a](b)"),
        *("[a]: b", "~~x~~", "+ x", "<https://a.example>", "[~accountid:1]", "*", "1."),
    ],
)
def test_what_looks_like_markdown_stays_text(words: str) -> None:
    doc = paragraph(*[n for line in words.split("\n") for n in (text(line), {"type": "hardBreak"})][:-1])
    assert render(from_adf(doc), NOBODY).plain() == words


def test_the_recorded_bodies_are_understood() -> None:
    if not FIXTURES.exists():
        pytest.skip(f"NOT CHECKED with recorded payloads: {FIXTURES} is absent")
    bodies = {f.stem: json.loads(f.read_text()).get("comment", {}).get("body") for f in FIXTURES.glob("*.json")}
    assert from_body(bodies["comment_created__modern_user"]) == (
        "### Status?\n\nHi [~accountid:712020:11111111-2222-3333-4444-555555555555] when is this **due**?\n\n"
        "```python\nx=1\n```"
    )
    assert from_body(bodies["comment_created__adf_body"]) == (
        "[~accountid:712020:11111111-2222-3333-4444-555555555555](@Grace Obi) when is this due?"
    )
    assert from_body(bodies["comment_created__mention"]) == "Added a comment with mentioned user [~user]"
    assert all(from_body(body) for body in bodies.values() if body)


WIKI = st.lists(
    st.sampled_from(
        [
            *(
                "*",
                "_",
                "-",
                "+",
                "^",
                "~",
                "{{",
                "}}",
                "[",
                "]",
                "|",
                "||",
                "!",
                "??",
                "\\",
                "\n",
                " ",
                "# ",
                "* ",
                "h1. ",
            ),
            *(
                "bq. ",
                "{code}",
                "{code:x}",
                "{noformat}",
                "{quote}",
                "{color:red}",
                "{panel:title=x}",
                "{adf}",
                "----\n",
            ),
            *(
                "word",
                "a.png",
                "https://a.example/x",
                "[~accountid:1]",
                "[a|https://b.example]",
                "|a|b|\n",
                "`",
                "&amp;",
            ),
        ]
    ),
    max_size=40,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(WIKI | st.text())
def test_any_wiki_text_becomes_markdown_that_renders(wiki: str) -> None:
    markdown = from_body(wiki)
    assert render(markdown, NOBODY).plain().count("word") >= wiki.count("word") - wiki.count("[") - wiki.count("{")


PROSE = st.lists(
    st.sampled_from([*"aBh1bq9 .,;:()'\"/#%$@=é東²\t\x1c-!?|>"])
    | st.sampled_from(["h1. ", "bq. ", " - ", "http://", "www.", "x.png", "!x.png!", "??x??", " -x-", "\\", "["]),
    max_size=12,
).map("".join)


@settings(max_examples=1000)
@given(PROSE)
def test_a_line_of_words_is_taken_as_it_stands_and_so_by_the_long_way(line: str) -> None:
    if wiki._PROSE.fullmatch(line):
        other = (wiki._HEADING, wiki._QUOTED_LINE, wiki._RULE, wiki._ITEM)
        assert not any(pattern.fullmatch(line) for pattern in other)
        assert wiki._rows(line) == [line.strip()] != [""]


@settings(max_examples=300)
@given(st.text(st.sampled_from("\\*_-+^~[]{}!?`<&:/ab. ;"), max_size=20))
def test_the_quick_looks_find_where_the_patterns_find(raw: str) -> None:
    assert all(wiki_inline._BEGIN.match(raw, found.start()) for found in wiki_inline._TOKEN.finditer(raw))
    assert all(escape._PERHAPS.match(raw, found.start()) for found in escape._SPECIAL.finditer(raw))
    assert [found[0] for found in address.bare(raw)] == [
        found.start()
        for found in address._BARE.finditer(raw)
        if address.trim(found[0])[-1:] not in ("", ":", "/", "\\") or "." in address.trim(found[0])
    ]


PIECES = (
    "[",
    "{{",
    "{code}",
    "{noformat}{code}",
    "*a ",
    "_",
    "!a",
    "[a|",
    "||",
    "|a",
    "{quote}",
    "# a\n",
    "\\",
    "??",
    "[~",
)
MORE_PIECES = (
    "https://a*",
    "{color:red}",
    "{panel:title=",
    "*_-+^~",
    "&a;",
    "<a:",
    "`",
    "|a|\n",
    "{adf}",
    "*a _b -c +d ",
    "{*}a ",
    "{_}{*}",
    "|a\nb\n",
    "||\n",
    "{expand:a}",
    "{panel:title=a|",
    "{code:title=",
    "(/)",
    "{quote}|",
    "[~accountid:1](@",
    "(@((",
    "!a.png|alt=",
    "|a|{code}x{code}|\n",
    "- `",
)


@pytest.mark.parametrize("piece", [*PIECES, *MORE_PIECES])
@pytest.mark.timeout(20)  # linear takes well under a second each; anything worse than linear takes minutes
def test_100_kilobytes_of_anything_are_read(piece: str) -> None:
    wiki = piece * (100_000 // len(piece))
    from_body(wiki)
    from_body(paragraph(text(wiki)))


# --- ADF --------------------------------------------------------------------------------------------------------------


def block(kind: str, *content: dict[str, Any], **attrs: object) -> dict[str, Any]:
    return {"type": kind, "attrs": attrs, "content": list(content)}


def p(words: str) -> dict[str, Any]:
    return block("paragraph", text(words))


@pytest.mark.parametrize(
    ("node", "markdown"),
    [
        (paragraph(text("a", strong=""), text("b", strong="", em="")), "**a*b***"),
        (paragraph(text(" a ", strong=""), text("b")), "**a** b"),
        (paragraph(text("x = 1", code="")), "`x = 1`"),
        (paragraph(text("here", link="https://a.example/")), "[here](https://a.example/)"),
        (paragraph(text("https://a.example/", link="https://a.example/")), "<https://a.example/>"),
        (paragraph(text("x", link="javascript:alert(1)")), "x (javascript:alert(1))"),
        (paragraph(text("a", underline="", textColor="")), "a"),
        (paragraph(text("a"), {"type": "hardBreak"}, text("b")), "a\nb"),
        (
            paragraph({"type": "mention", "attrs": {"id": "712020:1", "text": "@Grace"}}),
            "[~accountid:712020:1](@Grace)",
        ),
        (paragraph({"type": "mention", "attrs": {"text": "@Grace"}}), "@Grace"),
        (paragraph({"type": "emoji", "attrs": {"shortName": ":smile:", "text": "😄"}}), "😄"),
        (paragraph({"type": "date", "attrs": {"timestamp": "1795305600000"}}), "2026-11-22"),
        (paragraph({"type": "status", "attrs": {"text": "DONE", "color": "green"}}), "DONE"),
        (paragraph({"type": "inlineCard", "attrs": {"url": "https://a.example/x"}}), "<https://a.example/x>"),
        (block("blockCard", url="https://a.example/x"), "<https://a.example/x>"),
        (block("heading", text("T"), level=2), "## T"),
        (block("codeBlock", text("x\n```\ny"), language="py"), "````py\nx\n```\ny\n````"),
        (block("blockquote", p("a"), p("b")), "> a\n>\n> b"),
        (block("panel", p("a"), panelType="warning"), "(warning panel)\n\na"),
        (block("panel", p("a"), panelType="custom", panelIcon=":x:", panelIconText="🚀"), "(🚀 panel)\n\na"),
        (block("expand", p("a"), title="More"), "**More**\n\na"),
        (block("rule"), "---"),
        (
            block("mediaSingle", {"type": "media", "attrs": {"type": "file", "id": "1", "alt": "a.png"}}),
            "(file: a.png)",
        ),
        (
            block("bulletList", block("listItem", p("a"), block("orderedList", block("listItem", p("b")), order=3))),
            "- a\n  3. b",
        ),
        (
            block("bulletList", block("listItem", p("a"), block("codeBlock", text("x")))),
            "- a\n\n  ```\n  x\n  ```",
        ),
        (
            block("taskList", block("taskItem", text("a"), state="DONE"), block("taskItem", text("b"), state="TODO")),
            "- [x] a\n- [ ] b",
        ),
        (block("decisionList", block("decisionItem", text("yes"), state="DECIDED")), "- (decision) yes"),
        (block("decisionList", block("decisionItem", text("no"), state="UNDECIDED")), "- (decision: undecided) no"),
        (
            block(
                "table",
                block("tableRow", block("tableHeader", p("h")), block("tableHeader", p("i"))),
                block("tableRow", block("tableCell", p("a|b"), p("c"))),
            ),
            "| h | i |\n| --- | --- |\n| a\\|b<br>c |",
        ),
        (block("layoutSection", block("layoutColumn", p("a")), block("layoutColumn", p("b"))), "a\n\nb"),
        (block("bodiedExtension", p("a"), extensionKey="k"), "a"),
        ({"type": "nextYear", "content": [p("a")]}, "a"),
        (paragraph({"type": "nextYear", "attrs": {"text": "a"}}), "a"),
    ],
)
def test_adf_becomes_markdown(node: dict[str, Any], markdown: str) -> None:
    assert from_adf(node) == markdown


@pytest.mark.parametrize("body", [None, "", {}, [], 5, {"type": "doc"}, {"type": "doc", "content": "x"}])
def test_what_is_no_text_is_nothing(body: Any) -> None:
    assert from_body(body) == ""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["type", "content", "attrs", "marks", "text", "level", "order", "id", "url", "timestamp", "href"]
            ),
            inner
            | st.sampled_from(
                [
                    *(
                        "doc",
                        "paragraph",
                        "text",
                        "heading",
                        "bulletList",
                        "listItem",
                        "table",
                        "tableRow",
                        "tableCell",
                        "date",
                    ),
                    *(
                        "mention",
                        "link",
                        "strong",
                        "code",
                        "codeBlock",
                        "taskList",
                        "taskItem",
                        "expand",
                        "media",
                        "emoji",
                    ),
                ]
            ),
            max_size=5,
        )
    ),
    max_leaves=25,
)


@settings(max_examples=500, deadline=None)
@given(JSON)
def test_a_malformed_document_never_raises(node: Any) -> None:
    from_adf(node)
    assert isinstance(from_body({"type": "doc", "content": [node]}), str)


def test_depth_and_size_are_bounded() -> None:
    doc = p("deep")
    for _ in range(2000):
        doc = block("blockquote", doc)
    assert from_adf(doc) == ""
    many = from_adf(block("doc", *[p("a")] * 50_000))
    assert 10_000 < len(many) < 70_000


PARTS = (
    *("alpha", "beta", " ", "*", "_", "`", "[", "](", ")", "#", "> ", "~~", "<", ">", "&amp;", "\\", "!", "|", '"'),
    "https://a.example/",
)


@settings(max_examples=500, deadline=None)
@example("__alpha__")
@example("foo__beta __a__.py")
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=20).map("".join))
def test_any_words_in_adf_are_the_same_words_on_the_card(words: str) -> None:
    shown = render(from_adf(paragraph(text(words))), NOBODY).plain()
    bare = (re.sub(r"\s", "", text).lstrip("*-") for text in (shown, words))  # a typed bullet becomes one
    assert next(bare) == next(bare)


def test_from_body_is_tidy() -> None:
    key = "ghp_" + "a1B2" * 9
    for body in (f"use {key[:8]}\u200b{key[8:]} \U000e0041now", paragraph(text(f"use {key}"), text(" \u202enow"))):
        assert from_body(body) == "use [redacted secret] now"


def test_a_text_that_jira_would_not_take_is_cut_before_it_is_converted_and_says_so() -> None:
    whole = "word " * 6553 + "an"  # 32,767 characters
    assert len(whole) == MAX_TEXT
    nodes = [{"type": "text", "text": word, "marks": [{"type": "strong"}]} for word in whole.split(" ")]
    for body in (whole, _adf({"type": "text", "text": whole}), _adf(*nodes)):
        assert CUT not in from_body(body)
    assert from_body(f"{whole} more") == f"{from_body(whole)}\n\n{CUT}"
    assert from_body(_adf({"type": "text", "text": f"{whole} more"})) == f"{from_body(whole)}\n\n{CUT}"


ENDLESS: dict[str, Callable[[], Any]] = {
    "wiki": lambda: "* item\n" * 700_000,
    "nodes": lambda: _document(*[{"type": "paragraph", "content": []}] * 100_000),
    "marks": lambda: _document({"type": "text", "text": "", "marks": [{"type": "strong"}] * 1_000_000}),
    "attribute": lambda: _document({"type": "blockCard", "attrs": {"url": f"https://example.com/{'a' * 5_000_000}"}}),
    "names": lambda: _document({f"name {number}": "x" for number in range(1_000_000)}),
}


@pytest.mark.parametrize("of", ENDLESS)
def test_what_is_read_of_a_body_is_bounded_whatever_it_is_made_of(of: str) -> None:
    text = from_body(ENDLESS[of]())
    assert text.endswith(CUT)
    assert len(text) < 10 * MAX_TEXT


def _document(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "content": [*content]}


def _adf(*inline: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "content": [{"type": "paragraph", "content": list(inline)}]}


def test_a_private_key_over_several_nodes_is_one_secret() -> None:
    lines = ["-----BEGIN RSA PRIVATE KEY-----", "MIIEow" + "Q" * 60, "-----END RSA PRIVATE KEY-----"]
    broken = [node for line in lines for node in ({"type": "text", "text": line}, {"type": "hardBreak"})]
    document = {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": broken}]}
    apart = {"type": "doc", "version": 1, "content": [paragraph(text(line)) for line in lines]}
    for body in (document, apart):
        assert "MIIEow" not in from_body(body)
        assert REDACTED in from_body(body)
