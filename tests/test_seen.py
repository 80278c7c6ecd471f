"""What is posted is what was seen: every leaf and every attribute of the ADF stands on the card, in every layout.

And it stands in the frame, by the box as by bars: no draft makes a block outside it, or a word of ours.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from bot import cards
from bot.cards.parts import MAX_MESSAGE, size
from bot.demo.slack.limits import check_message, walk
from bot.demo.slack.people import words
from bot.domain.draft_states import DraftState
from bot.domain.drafts import Card, Decision, Draft, Posted, Revision
from bot.domain.issues import Comment, Issue, Person, Visibility
from bot.rules.policy import rendered
from tests.reading import Json, World, differences, unquoted
from tests.test_cards import BERLIN, NOW

SITE = "https://example.atlassian.net"
CI, EVIL = "https://ci.example.net/build/12", "https://evil.example/login"
LOOKALIKE = "https://xn--exmple-4nf.atlassian.net/browse/ECD-1"
LINKS = (CI, EVIL, LOOKALIKE, "mailto:ben@example.net")
PEOPLE = {"712020:1": "Grace Obi", "712020:2": "Ben Okafor", "712020:3": "ben okafor", "712020:4": "Ana [x](y) *Ruiz*"}
STRANGER = "zz-9"
WORLDS = {box: World(SITE, PEOPLE, bars=not box) for box in (True, False)}
APPROVING = {"Approve", "Post anyway", "Retry", "Post again"}

# --- drafts -----------------------------------------------------------------------------------------------------------

ADDRESSES = st.sampled_from([
    f"{SITE}/browse/ECD-1", f"{SITE}/browse/ECD-2", f"{SITE}/browse/ECD-1?x=1", SITE, f"{SITE}/wiki/ä", CI, f"{CI}/",
    EVIL, "https://example.atlassian.net@evil.example/", "https://example.atlassian.net:443/browse/ECD-1",
    "https://exаmple.atlassian.net/browse/ECD-1", LOOKALIKE, "https://other.example/x", "www.other.example",
    "https://example.atlassian.net%2eother.example/", "mailto:ben@example.net", "mailto:eve@evil.example",
    "/browse/ECD-1", "javascript:x",
    "https://" + "a" * 60 + "." + "b" * 60 + ".other.example/", "https://example.atlassian.net\\@other.example",
])  # fmt: skip
WORDS = st.sampled_from([
    "alpha", "a b", "ECD-1", "ECD-2", "ECD‑1", f"{SITE}/browse/ECD-1", "https://evil.example/", " ", "\u2800",
    "ci.example.net/build/12", "\u200b", "&#8203;", "a" + " " * 9 + "b", "| x |", "⚠ ", "(example.atlassian.net)",
    "@Grace Obi", ":tada:", "x\\|y", "<!here>", "日本語", "😀", "&amp;", "1) ", "# ", "—", "\u202eevil", '"', "\\",
    "<br>", "*.ts", "dist/*", "2*3", "__init__.py", "/", "//",
])  # fmt: skip
NAMED = st.sampled_from(
    ["", "(@Grace Obi)", "(@ben okafor)", "(@somebody)", "(@Ana [x](y))", "(https://evil.example/)", "(@)"]
)
MENTIONS = st.tuples(st.sampled_from([*PEOPLE, STRANGER]), NAMED).map(lambda m: f"[~accountid:{m[0]}]{m[1]}")


def _marked(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    marks = st.sampled_from(["**", "*", "~~", "`", "***", "_"])
    return st.tuples(marks, inner).map(lambda pair: f"{pair[0]}{pair[1]}{pair[0]}")


LABELS = st.one_of(WORDS, _marked(WORDS), MENTIONS, st.lists(WORDS | _marked(WORDS), max_size=3).map("".join))
LINKED = st.one_of(
    st.tuples(LABELS, ADDRESSES).map(lambda p: f"[{p[0]}]({p[1]})"),
    st.tuples(LABELS, ADDRESSES).map(lambda p: f'[{p[0]}](<{p[1]}> "{SITE}/browse/ECD-1")'),
    st.tuples(LABELS, ADDRESSES).map(lambda p: f"![{p[0]}]({p[1]})"),
    st.tuples(LABELS, ADDRESSES).map(lambda p: f"[![{p[0]}]({p[1]})]({p[1]})"),
    ADDRESSES.map(lambda a: f"<{a}>"),
    ADDRESSES,
    LABELS.map(lambda label: f"[{label}][ref]"),
)
INLINE = st.one_of(WORDS, _marked(WORDS), LINKED, _marked(LINKED), MENTIONS, st.sampled_from(["  \n", "\n", "\\\n"]))
LINE = st.lists(INLINE, min_size=1, max_size=5).map(" ".join) | st.lists(INLINE, min_size=1, max_size=4).map("".join)


def _indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


def _list(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    item = st.tuples(
        st.sampled_from(["- ", "* ", "1. ", "0. ", "7) ", "999999999. "]), inner, st.sampled_from(["\n", "\n\n"])
    )
    return st.lists(item.map(lambda i: i[0] + _indented(i[1], len(i[0])) + i[2]), min_size=1, max_size=4).map("".join)


CODE = st.tuples(st.sampled_from(["", "py", "c++", "evil.example", "see this", "x" * 41]), st.lists(WORDS, max_size=3))
TABLE = st.lists(st.lists(LINE.map(lambda s: s.replace("\n", " ")), min_size=2, max_size=3), min_size=1, max_size=4)
BLOCK = st.deferred(
    lambda: st.one_of(
        LINE,
        st.tuples(st.integers(1, 7), LINE).map(lambda p: "#" * p[0] + " " + p[1]),
        CODE.map(lambda p: f"```{p[0]}\n" + "\n".join(p[1]) + "\n```"),
        TABLE.map(lambda t: "\n".join("| " + " | ".join(row) + " |" for row in [t[0], ["---"] * len(t[0]), *t[1:]])),
        st.just("---"),
        st.lists(BLOCK, min_size=1, max_size=3).map(lambda b: "> " + "\n\n".join(b).replace("\n", "\n> ")),
        _list(LINE),
        _list(st.lists(BLOCK, min_size=1, max_size=2).map("\n\n".join)),
        st.integers(1, 12).map(lambda n: "\n".join("  " * level + f"- level {level}" for level in range(n))),
        st.just(f"[ref]: {EVIL}"),
    )
)
STRUCTURED = st.lists(BLOCK, min_size=1, max_size=5).map("\n\n".join)
PIECES = [
    "[", "](", ")", "]:", "\n", "\n\n", "    ", "|", "|---|---|\n", "`", "```", "~~~", "> ", "- ", "**", "_", "<", ">",
    "!", "\t",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES) | INLINE, max_size=20).map("".join)
REPEATED = st.tuples(STRUCTURED, st.integers(2, 40)).map(lambda p: f"{p[0]}\n\n" * p[1])
MARKDOWN = st.one_of(STRUCTURED, SOUP, REPEATED).map(lambda text: text[:3000])

# --- layouts ----------------------------------------------------------------------------------------------------------

LONG = 'Somebody "said" <this> & that\n' * 30
WRONG = tuple(f"{n} {LONG}" for n in range(6))
STATES = sorted(set(DraftState) - {DraftState.SUPERSEDED, DraftState.EXPIRED})


def draft(text: str, state: DraftState, *, crowded: bool) -> Draft:
    """A draft in this state; `crowded`: with as much around it as there can be."""
    long = LONG if crowded else ""
    at = Decision(action="approve", by="U1", name="Dana" + long, at=NOW)
    reporter, *others = [Person(account_id=account, name=name) for account, name in PEOPLE.items()]
    comments = [Comment(id=p.account_id or "", author=p, created=NOW, updated=NOW, text="?") for p in others]
    issue = Issue(
        key="ECD-142", project="ECD", summary="Export fails" + long, status="Open" + long, priority="High" + long,
        url=f"{SITE}/browse/ECD-142", reporter=reporter, comments=tuple(comments),
        assignee=others[0],
    )  # fmt: skip
    return Draft(
        id="drf_0123456789ab3f2a", event_id="evt_1", cycle_id="cyc_1", issue=issue, mode="production", state=state,
        revisions=(Revision(text=text, by="claude", at=NOW),), answered="10019", answered_text="Is it done?" + long,
        answered_author="Ben" + long, answered_at=NOW, why="A question." + long, confidence=0.8, links=LINKS,
        sources=("comment 10019" + long,), model="m", prompt="p", created=NOW, expires=NOW, note="A note." + long,
        card=Card(channel="C1", ts="1.2"), decision=at, posted=Posted(comment_id="1", url="x", at=NOW),
        audience="restricted" if crowded else "public",
        visibility=Visibility(type="role", value=long) if crowded else None,
        changes=tuple(f"Change {n} {long}" for n in range(9 if crowded else 1)),
        unchecked=tuple(f"Claim {n} {long}" for n in range(5 if crowded else 0)),
        look_alikes=(f"A name {long}",) * 3 if crowded else (), look_twice=long, unsupported=WRONG if crowded else (),
        doubts=tuple(f"Doubt {n} {long}" for n in range(6 if crowded else 0)),
    )  # fmt: skip


UNDECIDED = (DraftState.WAITING, DraftState.HELD, DraftState.FAILED, DraftState.UNKNOWN)


def masked(value: Any) -> Any:
    """Without the buttons' values, which name the draft's wording by its hash."""
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return {k: masked(v) for k, v in value.items() if k != "value"} if isinstance(value, dict) else value


def outline(blocks: list[Json]) -> list[Json]:
    """The blocks of a card without the words in its frame: what is ours."""
    return [
        {**b, "elements": []} if b.get("block_id") == "draft" else {**b, "child_blocks": outline(b["child_blocks"])}
        if b["type"] == "container" else b
        for b in blocks
        if b.get("block_id") != "warnings" and "Jira notifies" not in str(b)
    ]  # fmt: skip


def check(text: str, state: DraftState, *, crowded: bool, box: bool) -> None:
    of = draft(text, state, crowded=crowded)
    message = cards.draft_card(of, site=SITE, now=NOW, timezone=BERLIN, box=box)
    assert check_message(message.blocks) == []
    assert size(message.blocks) <= MAX_MESSAGE
    [block] = [b for b in walk(message.blocks) if b.get("block_id") == "draft"]
    reply = rendered(of, SITE)
    if not crowded and not reply.problem:
        harmless = cards.draft_card(draft("Yes.", state, crowded=False), site=SITE, now=NOW, timezone=BERLIN, box=box)
        assert masked(outline(message.blocks)) == masked(outline(harmless.blocks)), "the frame holds all of it"
    if reply.problem:  # nothing is posted; what a person is to make simpler is there as it was written
        assert not APPROVING & {b["text"]["text"] for b in walk(message.blocks) if b.get("type") == "button"}
        assert [e["elements"][0]["text"] for e in block["elements"]] == [text or " "]
        return
    doc = reply.adf()
    assert differences(WORLDS[box], doc, block["elements"]) == []
    if state in (DraftState.WAITING, DraftState.HELD, DraftState.FAILED, DraftState.UNKNOWN):
        outside = words([b for b in message.blocks if b.get("block_id") == "warnings"])
        assert unquoted(doc, block["elements"], outside) == []
        plain = [i for i in walk(block) if i.get("type") == "text" and "code" not in i.get("style", {})]
        if any(f"@{STRANGER}" in item["text"] for item in plain):
            assert f"@{STRANGER}" in outside or re.search(r" and \d+ more", outside), "a mention of somebody else"
    if state in UNDECIDED and not crowded:
        names = dict.fromkeys(n["attrs"]["text"][1:] for n in walk(doc) if n.get("type") == "mention")
        said = [item["text"] for item in walk(message.blocks) if str(item.get("text")).startswith("Jira notifies ")]
        assert said == ([f"Jira notifies {', '.join(names)}"] if names else [])


LAYOUT: dict[str, Any] = {
    "text": MARKDOWN, "state": st.sampled_from(STATES), "crowded": st.booleans(), "box": st.booleans(),
}  # fmt: skip
EASY = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.long
@settings(max_examples=200, derandomize=True, **EASY)
@given(**LAYOUT)
def test_what_is_posted_is_on_the_card(text: str, state: DraftState, crowded: bool, box: bool) -> None:
    check(text, state, crowded=crowded, box=box)


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("batch", range(20))
def test_what_is_posted_is_on_the_card_100_000_times(batch: int) -> None:
    @seed(batch)
    @settings(max_examples=5000, **EASY)
    @given(**LAYOUT)
    def batch_of_5_000(text: str, state: DraftState, crowded: bool, box: bool) -> None:
        check(text, state, crowded=crowded, box=box)

    batch_of_5_000()
