"""`bot.markup`, the way out: Markdown → one tree → what the card shows and what Jira gets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.demo.slack.limits import check_message
from bot.markup import Known, addresses_in, check_adf, render

SCHEMA = Path(__file__).parents[2] / "shared" / "schemas" / "adf.json"
CI = "https://ci.example.net/build/12"
KNOWN = Known("example.atlassian.net", frozenset({CI}), {"712020:1": "Grace Obi"})
NOBODY = Known("example.atlassian.net", frozenset(), {})


def paragraph(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": list(content)}]}


def text(words: str, *marks: str, href: str | None = None) -> dict[str, Any]:
    made: list[dict[str, Any]] = [{"type": mark} for mark in marks]
    made += [{"type": "link", "attrs": {"href": href}}] if href else []
    return {"type": "text", "text": words} | ({"marks": made} if made else {})


def walk(value: Any) -> list[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, list):
        return [found for inner in value for found in walk(inner)]
    return [value, *walk(list(value.values()))] if isinstance(value, dict) else []


def adf_links(doc: dict[str, Any]) -> list[str]:
    return [node["attrs"]["href"] for node in walk(doc) if node.get("type") == "link"]


def slack_links(elements: list[dict[str, Any]]) -> list[str]:
    return [node["url"] for node in walk(elements) if node.get("type") == "link"]


def slack_text(elements: list[dict[str, Any]]) -> str:
    return "".join(node["text"] for node in walk(elements) if "text" in node)


# --- what is posted ---------------------------------------------------------------------------------------------------


def test_marks_and_a_mention() -> None:
    made = render("Hi [~accountid:712020:1], **see** *this* ~~not~~ `x = 1`  \nthanks", KNOWN)
    assert made.adf() == paragraph(
        text("Hi "),
        {"type": "mention", "attrs": {"id": "712020:1", "text": "@Grace Obi"}},
        text(", "),
        text("see", "strong"),
        text(" "),
        text("this", "em"),
        text(" "),
        text("not", "strike"),
        text(" "),
        text("x = 1", "code"),
        {"type": "hardBreak"},
        text("thanks"),
    )
    assert made.warnings == ()
    assert made.plain() == "Hi @Grace Obi, see this not x = 1\nthanks"


def test_blocks() -> None:
    made = render(
        "# Now\n\n- a\n  1. b\n- c\n\n> said\n\n```py\nx = 1\n```\n\n---\n\n| a | b |\n|---|---|\n| 1 | |", NOBODY
    )
    assert [block["type"] for block in made.adf()["content"]] == [
        "heading",
        "bulletList",
        "blockquote",
        "codeBlock",
        "rule",
        "table",
    ]
    assert made.adf()["content"][3]["attrs"] == {"language": "py"}
    assert made.plain() == "Now\n\n- a\n  1. b\n- c\n\n> said\n\nx = 1\n\n---\n\na | b\n1 | "


def test_two_lines_stay_two_lines() -> None:
    assert render("one\ntwo", NOBODY).adf() == paragraph(text("one"), {"type": "hardBreak"}, text("two"))


def test_what_jira_forbids_in_a_list_or_quotation_is_flattened() -> None:
    made = render("- # Title\n- > quoted\n- ***\n\n> # T\n> > deeper\n> ---", NOBODY)
    assert made.adf()["content"] == [
        {
            "type": "bulletList",
            "content": [
                {"type": "listItem", "content": [{"type": "paragraph", "content": [node]}]}
                for node in (text("Title", "strong"), text("quoted"), text("———"))
            ],
        },
        {
            "type": "blockquote",
            "content": [
                {"type": "paragraph", "content": [node]} for node in (text("T", "strong"), text("deeper"), text("———"))
            ],
        },
    ]


@pytest.mark.parametrize("nothing", ["", "   ", "\n\n", "\u200b", "&#8203;"])
def test_nothing_is_one_empty_paragraph(nothing: str) -> None:
    made = render(nothing, NOBODY)
    assert made.adf() == paragraph()
    assert made.slack() == [{"type": "rich_text_section", "elements": [{"type": "text", "text": " "}]}]


@pytest.mark.parametrize(
    ("markdown", "words"),
    [
        ("42.", "42."),
        ("[update]: fixed", "[update]: fixed"),
        ("| a |\n|---|\n| b | lost |", "| a |\n|---|\n| b | lost |"),
        (">" * 300 + " deep", ">" * 300 + " deep"),
        ("- " * 300 + "deep", "- " * 300 + "deep"),
        ("~~~~alpha", "alpha"),
        ("```see the log\nx\n```", "see the log\nx"),
        (f'[x]({CI} "and a title")', "x “and a title”"),
        ("<b>bold</b> <!-- hidden -->", "<b>bold</b> <!-- hidden -->"),
    ],
)
def test_no_word_gets_lost_in_a_corner_of_markdown(markdown: str, words: str) -> None:
    assert render(markdown, KNOWN).plain() == words


@pytest.mark.parametrize(
    "words",
    [
        *("*.ts and dist/*", "src/**/*.py and tests/**", "**/*.py, **/*.ts", "*.{js,ts} or *.[ch]"),
        *("lib/*.so and lib/*.a", "vendor/** or dist/**"),
        *("dist/* and build/*", "log-*.txt or *.log", "foo*bar and baz*qux", "*/5 * * * *", "src/**/a and lib/**/b"),
        *("2*3 and 4*5", "2*3*4", "x**2 + y**2", "2**3 and 2**4", "a*b*c", "/*.conf and /etc/*", "pkg/*/mod and x/*/y"),
        *("__init__.py and __main__.py", "foo.__class__.__name__", "__init__() and __del__()", "test_*.py and x_*.py"),
    ],
)  # fmt: skip
def test_a_file_pattern_and_a_sum_keep_their_stars(words: str) -> None:
    for markdown in (words, f"see {words}", f"({words}).", f"- {words}", f"| h |\n|---|\n| {words} |"):
        made = render(markdown, NOBODY)
        assert words in made.plain()
        assert words in slack_text(made.slack())
        assert not [node for node in walk(made.adf()) if node.get("marks")]


@pytest.mark.parametrize(
    ("markdown", "marked"),
    [
        ("*it* and **bold**, ***both***", ["it", "bold", "both"]),
        ("**.env** and **/health**, **dist/**", [".env", "/health", "dist/"]),
        ("**open**/**closed** (*a*) \u201c*b*\u201d", ["open", "closed", "a", "b"]),
        ("これは**重要**です", ["重要"]),
        ("No**w** and *the end.* *2 of 3* **-5** _x_ __y__.", ["w", "the end.", "2 of 3", "-5", "x", "y"]),
        ("**a *b* c**, *a **b** c*", ["a ", "b", " c", "a ", "b", " c"]),
    ],
)
def test_emphasis_stays_emphasis(markdown: str, marked: list[str]) -> None:
    doc = render(markdown, NOBODY).adf()
    assert [node["text"] for node in walk(doc) if node.get("marks")] == marked


def test_br_is_a_line_end_in_a_cell_and_words_elsewhere() -> None:
    made = render("| a<br>b | h |\n|---|---|\n| 1<BR/>**2<br />3** | `<br>` \\<br> |\n\nuse <br> here", NOBODY)
    table, words = made.adf()["content"]
    [head, _], [one, two] = ([cell["content"][0]["content"] for cell in row["content"]] for row in table["content"])
    assert head == [text("a"), {"type": "hardBreak"}, text("b")]
    assert one == [text("1"), {"type": "hardBreak"}, text("2", "strong"), {"type": "hardBreak"}, text("3", "strong")]
    assert two == [text("<br>", "code"), text(" <br>")]
    assert words["content"] == [text("use <br> here")]
    assert slack_text(made.slack()).startswith("| a\nb | h |\n| 1\n2\n3 | <br> <br> |")


# --- what the card shows ----------------------------------------------------------------------------------------------


def test_the_card_shows_lists_quotes_and_code_as_jira_does() -> None:
    made = render("Steps:\n\n3. a\n   - b\n\n   ```\n   c\n   ```\n4. d\n\n> q\n>\n> - r", NOBODY).slack()
    shape = [(e["type"], e.get("style"), e.get("indent"), e.get("border"), e.get("offset")) for e in made]
    assert shape == [
        ("rich_text_section", None, None, None, None),
        ("rich_text_list", "ordered", 0, 0, 2),
        ("rich_text_list", "bullet", 1, 0, None),
        ("rich_text_preformatted", None, None, 0, None),
        ("rich_text_list", "ordered", 0, 0, 3),
        ("rich_text_quote", None, None, None, None),
        ("rich_text_list", "bullet", 0, 1, None),
    ]


def test_paragraphs_are_kept_apart_and_headings_show_their_level() -> None:
    assert render("## No**w**\n\none\n\ntwo", NOBODY).slack() == [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": "## Now", "style": {"bold": True}},
                {"type": "text", "text": "\n\none\n\ntwo"},
            ],
        }
    ]


def test_slack_markup_stays_text() -> None:
    hostile = "<!channel> <!here> <@U123> <#C1> <!subteam^S1> @here :tada: <https://evil.example|site>"
    made = render(hostile, NOBODY)
    assert {node["type"] for node in walk(made.slack())} == {"rich_text_section", "text"}
    assert "<!channel> <!here> <@U123> <#C1> <!subteam^S1> @here :tada:" in slack_text(made.slack())


def test_a_table_and_code_show_what_slack_has_no_elements_for() -> None:
    shown = slack_text(render("| **a** | b |\n|---|---|\n| 1 | |\n\n```py\nx\n```\n\n0. one", NOBODY).slack())
    assert shown == "| a | b |\n| 1 |  |pyxone"
    assert render("0. one\n1. two", NOBODY).adf()["content"][0]["attrs"] == {"order": 1}, "Slack cannot count from 0"


@pytest.mark.parametrize(
    ("markdown", "problem"),
    [
        ("- a\n" * 700, "too many parts"),
        ("| `a` | **b** |\n|---|---|\n" + "| `a` | **b** |\n" * 90, "too many parts"),
        ("[a]: https://ci.example.net/build/12?" + "z" * 1500 + "\n\n" + "[a] " * 300, "too many parts"),
        ("\n".join("  " * level + "- a" for level in range(10)), "nested too deeply"),
        ("> " + "\n> ".join("  " * level + "- a" for level in range(10)), "nested too deeply"),
        (">" * 300 + " deep", "nested too deeply"),
    ],
    ids=["items", "cells", "an address repeated by reference", "lists", "lists in a quotation", "quotations"],
)
def test_what_slack_cannot_show_whole_says_so(markdown: str, problem: str) -> None:
    made = render(markdown, KNOWN)
    assert made.problem.startswith("cannot be shown whole in one Slack message: it ")
    assert problem in made.problem


@pytest.mark.parametrize(
    "piece",
    ["word ", "- an item that is as long as most of them are\n", "**two words** and many more that are not bold. "],
)
def test_an_ordinary_draft_of_3_000_characters_can_be_shown(piece: str) -> None:
    assert render((piece * 3000)[:3000], KNOWN).problem == ""


# --- links ------------------------------------------------------------------------------------------------------------


def test_an_allowed_link_is_a_link_and_shows_its_host() -> None:
    made = render("[the issue](https://example.atlassian.net/browse/ECD-1)", KNOWN)
    assert made.adf() == paragraph(text("the issue", href="https://example.atlassian.net/browse/ECD-1"))
    assert slack_text(made.slack()) == "the issue (example.atlassian.net)"
    assert slack_links(made.slack()) == ["https://example.atlassian.net/browse/ECD-1"]
    assert made.warnings == ()


@pytest.mark.parametrize(
    "markdown", [CI, f"<{CI}>", f"see ({CI}).", f"[build]({CI})", f"[a][b]\n\n[b]: {CI}", f"![a]({CI})"]
)
def test_an_address_from_the_issue_is_a_link_however_it_is_written(markdown: str) -> None:
    made = render(markdown, KNOWN)
    assert adf_links(made.adf()) == slack_links(made.slack()) == [CI]
    assert made.warnings == ()


@pytest.mark.parametrize(
    ("markdown", "posted"),
    [
        ("[log](https://files.example.net/x)", "log (https://files.example.net/x)"),
        ("[log][1]\n\n[1]: https://files.example.net/x", "log (https://files.example.net/x)"),
        ("<https://files.example.net/x>", "https://files.example.net/x"),
        ("see https://files.example.net/x.", "see https://files.example.net/x."),
        ("![log](https://files.example.net/x)", "log (https://files.example.net/x)"),
        ("[![a](https://files.example.net/x)](https://files.example.net/x)", None),
        ("**[log](https://files.example.net/x)**", "log (https://files.example.net/x)"),
        ("`curl https://files.example.net/x`", "curl https://files.example.net/x"),
    ],
)
def test_an_address_that_is_not_from_the_issue_is_marked_and_posted_as_text(markdown: str, posted: str | None) -> None:
    made = render(markdown, KNOWN)
    assert adf_links(made.adf()) == slack_links(made.slack()) == []
    quoted = "“log” leads to files.example.net" if "[log]" in markdown else "“https://files.example.net/x”"
    quoted = "“a” leads to files.example.net" if "[a]" in markdown else quoted
    assert made.warnings == (f"one link is not from the issue, and will be posted as plain text: {quoted}",)
    assert "⚠" not in slack_text([*made.slack(), *made.barred()]), "marks stand outside the frame"
    if posted is not None:
        assert made.plain() == posted


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.atlassian.net@evil.example/", "evil.example"),
        ("https://example.atlassian.net:@evil.example/", "evil.example"),
        ("https://ben@example.atlassian.net/", "example.atlassian.net"),
        ("https://example.atlassian.net.evil.example/", "example.atlassian.net.evil.example"),
        ("https://example.atlassian.net.", "example.atlassian.net."),
        ("https://example.atlassian.net:8443/", "example.atlassian.net:8443"),
        ("https://exаmple.atlassian.net/", "xn--exmple-4nf.atlassian.net"),
        ("https://xn--exmple-4nf.atlassian.net/", "xn--exmple-4nf.atlassian.net"),
        ("https://evil.example\\\\@example.atlassian.net/", "https://evil.example\\@example.atlassian.net/"),
        ("https://example.atlassian.net%2eevil.example/", "example.atlassian.net%2eevil.example"),
        ("//example.atlassian.net/x", "//example.atlassian.net/x"),
        ("/browse/ECD-1", "/browse/ECD-1"),
        ("https:example.atlassian.net", "https:example.atlassian.net"),
        ("https:///example.atlassian.net", "https:///example.atlassian.net"),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("JaVaScRiPt:alert(1)", "JaVaScRiPt:alert(1)"),
        ("data:text/html,hi", "data:text/html,hi"),
        ("vbscript:x", "vbscript:x"),
        ("file:///etc/passwd", "file:///etc/passwd"),
        ("ftp://example.atlassian.net/x", "example.atlassian.net"),
        ("mailto:eve@evil.example", "eve@evil.example"),
        (CI + "3", "ci.example.net"),
        (CI + "/../../x", "ci.example.net"),
        ("https://example.atlassian.net/" + "x" * 3000, "example.atlassian.net"),
    ],
)
def test_addresses_that_only_look_allowed(address: str, shown: str) -> None:
    made = render(f"[here](<{address}>)", KNOWN)
    assert adf_links(made.adf()) == slack_links(made.slack()) == []
    warning = f"one link is not from the issue, and will be posted as plain text: “here” leads to {shown}"
    assert made.warnings == (warning,)


@pytest.mark.parametrize(
    ("address", "href"),
    [
        ("https://EXAMPLE.Atlassian.NET/Browse/X", "https://example.atlassian.net/Browse/X"),
        ("HTTPS://example.atlassian.net:443/x", "https://example.atlassian.net/x"),
        ("https://example.atlassian.net/a b", "https://example.atlassian.net/a%20b"),
        ("https://example.atlassian.net/ä?q=ü#ö", "https://example.atlassian.net/%C3%A4?q=%C3%BC#%C3%B6"),
        ("https://example.atlassian.net", "https://example.atlassian.net/"),
        ("HTTPS://CI.example.net/build/12", CI),
    ],
)
def test_what_is_posted_is_the_spelling_that_was_compared(address: str, href: str) -> None:
    if " " in address:
        assert adf_links(render(f"[x](<{address}>)", KNOWN).adf()) == [], "a blank has two readings"
    else:
        assert adf_links(render(f"[x](<{address}>)", KNOWN).adf()) == [href]


def test_a_label_that_is_another_address_hides_nothing() -> None:
    made = render(f"[https://evil.example/]({CI})", KNOWN)
    assert slack_text(made.slack()) == "https://evil.example/ (ci.example.net/build/12)"
    assert made.warnings == ("one link is not what its words say: “https://evil.example/” leads to ci.example.net",)
    assert adf_links(made.adf()) == [CI]
    other = render(f"[{CI}](https://evil.example/)", KNOWN)
    assert slack_text(other.slack()) == f"{CI} (https://evil.example/)"
    assert other.warnings[0].endswith(f"“{CI}” leads to evil.example")
    assert adf_links(other.adf()) == []


BROWSE = "https://example.atlassian.net/browse"


@pytest.mark.parametrize(
    ("label", "target", "shown"),
    [
        ("ECD-1", f"{BROWSE}/ECD-1", "ECD-1"),
        (f"{BROWSE}/ECD-1", f"{BROWSE}/ECD-1", f"{BROWSE}/ECD-1"),
        ("see ECD-1", f"{BROWSE}/ECD-1", "see ECD-1 (example.atlassian.net)"),
        ("ECD-1", f"{BROWSE}/ECD-1?x=1", "ECD-1 (example.atlassian.net/browse/ECD-1?x=1)"),
        ("ECD-1", f"{BROWSE}/ECD-2", "ECD-1 (example.atlassian.net/browse/ECD-2)"),
        ("ECD‑1", f"{BROWSE}/ECD-2", "ECD‑1 (example.atlassian.net/browse/ECD-2)"),
        ("ECD-1", CI, "ECD-1 (ci.example.net/build/12)"),
        ("ECD-1", "https://ci.example.net/browse/ECD-1", "ECD-1 (ci.example.net/browse/ECD-1)"),
        (f"{BROWSE}/ECD-1", f"{BROWSE}/ECD-2", f"{BROWSE}/ECD-1 (example.atlassian.net/browse/ECD-2)"),
        ("example.atlassian.net/browse/ECD-1", CI, "example.atlassian.net/browse/ECD-1 (ci.example.net/build/12)"),
        ("https://CI.example.net/BUILD/12", CI, "https://CI.example.net/BUILD/12 (ci.example.net/build/12)"),
        ("a" + " " * 300 + "b", CI, "a b (ci.example.net)"),
        ("\u2800\u2003", CI, CI),
        ("&#8203;", CI, CI),
    ],
)
def test_a_link_shows_where_it_leads_unless_its_words_say_it(label: str, target: str, shown: str) -> None:
    known = Known("example.atlassian.net", frozenset({CI, "https://ci.example.net/browse/ECD-1"}), {})
    made = render(f"[{label}](<{target}>)", known)
    assert slack_text(made.slack()) == shown
    assert adf_links(made.adf()) == slack_links(made.slack()) == [target]


def test_a_long_host_is_shown_whole() -> None:
    address = f"https://example.atlassian.net.{'a' * 60}.{'b' * 60}.evil.example/"
    made = render(f"[here]({address})", Known("example.atlassian.net", frozenset({address}), {}))
    assert slack_text(made.slack()).endswith(f"{'b' * 60}.evil.example)")
    (warning,) = render(f"[here]({address})", NOBODY).warnings
    assert warning.endswith("bbb.evil.example"), "cut at its beginning: its end says whose it is"


def test_two_people_of_one_name_are_told_apart() -> None:
    made = render(
        "[~accountid:1] [~accountid:2] [~accountid:3]", Known("", frozenset(), {"1": "Ana", "2": "ana ", "3": "B"})
    )
    assert slack_text(made.slack()) == "@Ana (1) @ana (2) @B"
    assert [n["attrs"] for n in walk(made.adf()) if n.get("type") == "mention"] == [
        {"id": "1", "text": "@Ana (1)"},
        {"id": "2", "text": "@ana (2)"},
        {"id": "3", "text": "@B"},
    ]
    assert made.notified == ("Ana (1)", "ana (2)", "B")


def test_a_site_with_a_port_is_that_port() -> None:
    local = Known("127.0.0.1:8701", frozenset(), {})
    assert adf_links(render("http://127.0.0.1:8701/browse/X", local).adf()) == ["http://127.0.0.1:8701/browse/X"]
    assert adf_links(render("http://127.0.0.1:8702/browse/X", local).adf()) == []


def test_several_links_and_mentions_make_one_sentence_each() -> None:
    made = render("https://a.example/ https://b.example/ https://b.example/ [~accountid:9] [~eve]", KNOWN)
    assert made.warnings == (
        "2 links are not from the issue, and will be posted as plain text: “https://a.example/”, “https://b.example/”",
        "2 mentions are of somebody who is not in the issue, and will be posted as plain text: “@9”, “@eve”",
    )
    assert not [node for node in walk(made.adf()) if node.get("type") == "mention"]
    assert "@9 @eve" in slack_text(made.slack())


def test_one_address_behind_two_sets_of_words_is_told_with_both() -> None:
    made = render("[`/browse/ECD-1`](https://b.example/) [here](https://b.example/)", KNOWN)
    assert made.warnings == (
        "2 links are not from the issue, and will be posted as plain text: "
        "“/browse/ECD-1” leads to b.example, “here” leads to b.example",
    )


def test_a_secret_is_named_and_not_repeated() -> None:
    key = "ghp_" + "a1B2" * 9
    (warning,) = render(f"use {key}", KNOWN).warnings
    assert warning == "the text holds what looks like a secret: GitHub token"
    (hidden,) = render(f"use ghp\\_{key[4:]}", KNOWN).warnings
    assert hidden == warning, "a backslash that Markdown removes hides nothing"


def test_addresses_in_a_text_are_what_may_be_linked_to() -> None:
    found = addresses_in(
        "[a](https://a.example/x_y) <https://b.example> https://C.example/z. ![i](https://d.example/i.png)\n"
        "`https://e.example/`\n\n```\nhttps://f.example/1\n```\n[r]: https://g.example/\n\nmailto:x javascript:alert(1)"
        " <ben@h.example>"
    )
    assert found == {
        "https://a.example/x_y",
        "https://b.example/",
        "https://c.example/z",
        "https://d.example/i.png",
        "https://e.example/",
        "https://f.example/1",
        "https://g.example/",
        "mailto:ben@h.example",
    }
    for address in found:
        assert not render(f"[x]({address})", Known("", found)).warnings


# --- properties -------------------------------------------------------------------------------------------------------

WORDS = ("alpha", "beta", "gamma", "delta")
_PIECES = [
    *(
        "[",
        "](",
        ")",
        "]:",
        " ",
        "\n",
        "\n\n",
        "    ",
        "|",
        "|---|---|\n",
        "---",
        "`",
        "```",
        "~~~",
        "#",
        "# ",
        "> ",
        "- ",
    ),
    *(
        "1. ",
        "*",
        "**",
        "_",
        "~~",
        "<",
        ">",
        "&",
        "\\",
        "!",
        '"',
        "'",
        "(",
        ".",
        "{",
        "}",
        "  ",
        "\t",
        "==",
        "+ ",
        "@",
        ":",
    ),
    *(
        "https://evil.example/",
        "https://example.atlassian.net/x",
        CI,
        "[~accountid:712020:1]",
        "[~accountid:zz]",
        "[x]",
    ),
    *(
        "javascript:",
        "data:",
        "mailto:",
        "&#8203;",
        "&#10;",
        "\u200b",
        "☃",
        "3) ",
        "www.",
        "https://example.atlassian.net@",
    ),
]
MARKDOWN = st.lists(st.sampled_from([*WORDS, *_PIECES]), max_size=30).map("".join)


@pytest.fixture(scope="module")
def atlassian() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    if not SCHEMA.exists():
        pytest.skip(f"NOT CHECKED against Atlassian's own schema: {SCHEMA} is absent")
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_text()))


@settings(max_examples=300, deadline=None)
@given(source=MARKDOWN | st.text())
def test_whatever_is_rendered_is_valid_under_atlassians_schema(atlassian: Any, source: str) -> None:
    doc = render(source, KNOWN).adf()
    assert [error.message for error in atlassian.iter_errors(doc)] == []


@settings(max_examples=500, deadline=None)
@example("```alpha\nbeta")
@example("**https://example.atlassian.net/x**https://example.atlassian.net/x")
@given(MARKDOWN | st.text(st.characters(exclude_categories=())))
def test_whatever_is_rendered_is_valid_and_shows_the_same_words(source: str) -> None:
    made = render(source, KNOWN)
    doc, elements = made.adf(), made.slack()
    assert check_adf(doc) == []
    assert all(node["text"] for node in walk([doc, elements]) if "text" in node), "no empty texts"
    kinds = {node["type"] for node in walk(elements) if "type" in node}
    assert kinds <= {"rich_text_section", "rich_text_list", "rich_text_quote", "rich_text_preformatted", "text", "link"}
    assert set(adf_links(doc)) == set(slack_links(elements))
    for href in adf_links(doc):
        assert href == CI or href.startswith("https://example.atlassian.net/")
    hosts = re.compile(r" \((?:example\.atlassian\.net|ci\.example\.net)[^ ()]*\)")  # where a link leads
    # A code block's language is an attribute in Jira, and words on the card.
    posted = "".join(node.get("text") or node.get("attrs", {}).get("language") or "" for node in walk(doc))
    shown = hosts.sub("", slack_text(elements))
    letters = re.compile(r"[^\W]")
    assert letters.findall(shown) == letters.findall(hosts.sub("", posted))


@settings(max_examples=300, deadline=None)
@given(MARKDOWN)
def test_slack_takes_whatever_is_rendered(source: str) -> None:
    assert check_message([{"type": "rich_text", "elements": render(source, KNOWN).slack()}]) == []


@settings(max_examples=500, deadline=None)
@given(MARKDOWN)
def test_no_word_gets_lost(source: str) -> None:
    made = render(source, KNOWN)
    languages = [n["attrs"]["language"] for n in walk(made.adf()) if n.get("type") == "codeBlock" and "attrs" in n]
    seen = made.plain() + " ".join(languages)
    for word in WORDS:
        assert source.count(word) <= seen.count(word)


PATHOLOGICAL = (
    "[",
    "`a",
    "*a ",
    "![",
    "<",
    "[a](",
    "_a*",
    "&",
    "> ",
    "- ",
    "~~a ",
    "|a",
    "http://a",
    "[a]: x\n",
    "\\",
    "a@",
)


@pytest.mark.parametrize("piece", PATHOLOGICAL)
@pytest.mark.timeout(20)  # linear takes well under a second; anything worse than linear takes minutes
def test_20_kilobytes_of_anything_are_rendered(piece: str) -> None:
    source = piece * (20_000 // len(piece))
    render(source, KNOWN)
    addresses_in(source)


# --- the small schema -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("doc", "problem"),
    [
        ("text", "doc: not an ADF document"),
        (None, "doc: not an ADF document"),
        ({"type": "doc", "content": [{"type": "rule"}]}, "doc.version: must be 1"),
        ({"type": "doc", "version": 1, "content": []}, "doc.content: empty"),
        (paragraph({"type": "text", "text": ""}), "doc.content[0].content[0].text: empty or not a string"),
        (paragraph(text("x", "code", "strong")), "doc.content[0].content[0].marks: code goes with a link alone"),
        (paragraph(text("x", "underline")), "doc.content[0].content[0].marks: unknown 'underline'"),
        (paragraph(text("x", href="javascript:x")), "doc.content[0].content[0].marks: this address may not be a link"),
        (paragraph({"type": "inlineCard", "attrs": {}}), "doc.content[0].content[0]: unknown node 'inlineCard'"),
        (paragraph({"type": "mention", "attrs": {}}), "doc.content[0].content[0].attrs.id: missing"),
        (
            {"type": "doc", "version": 1, "content": [{"type": "heading", "attrs": {"level": 7}, "content": []}]},
            "doc.content[0].attrs.level: '7' is not allowed",
        ),
        (
            {"type": "doc", "version": 1, "content": [{"type": "blockquote", "content": [{"type": "rule"}]}]},
            "doc.content[0].content[0]: rule may not stand in blockquote",
        ),
        (
            {"type": "doc", "version": 1, "content": [{"type": "listItem", "content": [{"type": "paragraph"}]}]},
            "doc.content[0]: listItem may not stand in doc",
        ),
    ],
)
def test_the_small_schema_names_what_is_wrong_and_where(doc: object, problem: str) -> None:
    assert check_adf(doc) == [problem]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "content", "attrs", "marks", "text", "version", "href", "level", "id"]),
            inner
            | st.sampled_from(["doc", "paragraph", "text", "heading", "listItem", "bulletList", "table", "mention"]),
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_the_small_schema_never_raises(doc: object) -> None:
    check_adf(doc)
    check_adf({"type": "doc", "version": 1, "content": [doc]})


def test_the_small_schema_bounds_depth() -> None:
    doc: dict[str, Any] = {"type": "bulletList", "content": []}
    for _ in range(5000):
        doc = {"type": "listItem", "content": [{"type": "paragraph"}, doc]}
        doc = {"type": "bulletList", "content": [doc]}
    assert any("nested too deeply" in problem for problem in check_adf({"type": "doc", "version": 1, "content": [doc]}))
