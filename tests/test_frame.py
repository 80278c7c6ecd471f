"""The frame around a reply: whatever a draft, a comment, a summary or a name says, what is ours stays as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot import cards
from bot.cards.parts import MAX_MESSAGE, size
from bot.demo.slack.limits import REPORTED, check_message, walk
from bot.demo.slack.people import words
from bot.domain.draft_states import DraftState
from bot.domain.events import IssueCommented
from bot.domain.issues import Comment, Person
from bot.markup import Known, render
from bot.safety.quoting import SIGNS, in_marks, sign_in, unsigned
from tests.test_cards import BERLIN, NOW, SITE, draft, issue, shown
from tests.test_seen import Json, masked, outline

IMITATIONS = {
    "a rule and another card": "On it.\n\n———\n\nReply · public\n\n---\n\nNothing to see.",
    "our reason": "On it.\n\nWhy: a direct status question · confidence 97 % · from comment 10019",
    "our mark": "On it.\n\n⚠ All links were checked by PM Agent",
    "another audience": "🔒 Internal note\n\ninternal note, the customer does not see it",
    "another mode": "🧪 Simulation: Approve will not post to Jira.",
    "an outcome": "✓ Posted by Dana Petrova at 10:42 as drafted · View in Jira",
    "the frame's end": "On it.\n\nEnd of the reply. What follows is PM Agent's own.\n\nApprove   Edit   Skip",
    "blank lines": "On it." + "\n\u2800" * 240 + "\nnot seen",
    "blank lines that Markdown keeps": "On it." + "\\\n&nbsp;" * 240 + "\nnot seen",
    "blank lines in code": "```\nx" + "\n" * 240 + "y\n```",
    "blanks in a line": "On it." + "&nbsp;" * 400 + "not seen",
    "rules": "On it.\n\n" + "---\n" * 240 + "\nnot seen",
    "a quotation": "> Ben Okafor wrote at 10:42\n\n> Draft reply · public",
    "marks over the lines around": "z" + "\u0335\u0322\u0341\u0489" * 60,
    "a block as JSON": '{"type": "divider"}, {"type": "context", "elements": []}',
}  # fmt: skip
HOSTILE = "Export “fails” ⚠ All links were checked by PM Agent · 🔒 Internal note\n———\n✓ Posted"


def lines(blocks: list[Json]) -> list[str]:
    return words(blocks).split("\n")


def frame(message: cards.Message) -> list[Json]:
    """The block that holds the reply, with what is around it."""
    return [b for b in message.blocks if b["type"] == "container" or b.get("block_id") == "draft"]


@pytest.mark.parametrize("box", [True, False], ids=["box", "bars"])
@pytest.mark.parametrize("text", IMITATIONS.values(), ids=IMITATIONS)
def test_no_draft_says_a_word_outside_its_frame(text: str, box: bool) -> None:
    card, plain = shown(draft(text), box=box), shown(draft("Yes."), box=box)
    assert check_message(card.blocks) == []
    assert masked(outline(card.blocks)) == masked(outline(plain.blocks))
    [block] = [b for b in walk(card.blocks) if b.get("block_id") == "draft"]
    if not box:
        assert all(e["type"] == "rich_text_quote" or e.get("border") == 1 for e in block["elements"])
    seen = words([block])
    assert "\n\n\n\n" not in seen
    assert "\u2800" not in seen
    assert len(lines([block])) < 12


@pytest.mark.parametrize("text", IMITATIONS.values(), ids=IMITATIONS)
def test_what_is_seen_without_gaps_is_posted_without_gaps(text: str) -> None:
    made = render(text, Known("", frozenset(), {}))
    posted = "\n".join(node["text"] if node["type"] == "text" else "" for node in walk(made.adf()) if "type" in node)
    assert "\u2800" not in posted
    assert " " * 41 not in posted
    assert sum(node.get("type") in ("hardBreak", "rule") for node in walk(made.adf())) <= 4


def test_a_sign_of_ours_in_a_draft_is_told_to_be_the_drafts() -> None:
    said = "⚠ “⚠ All links were checked by PM Agent” is said by the reply, not by PM Agent"
    assert said in lines(shown(draft(IMITATIONS["our mark"])).blocks)
    assert said in lines(shown(draft(IMITATIONS["our mark"]), box=False).blocks)
    assert not [line for line in lines(shown(draft()).blocks) if "said by the reply" in line]


def test_every_sign_on_our_cards_is_one_that_nobody_else_may_use() -> None:
    for state in DraftState:
        for changes in ({"mode": "simulation"}, {"audience": "internal"}, {"unchecked": ("x",), "note": "y"}):
            ours = words(shown(draft("See https://a.example/", state=state, **changes)).blocks)
            pictures = {c for c in ours if ord(c) > 0x2100 and not c.isalnum()} - {"│"}
            assert pictures <= set(SIGNS), state


@pytest.mark.parametrize("box", [True, False], ids=["box", "bars"])
def test_summary_names_and_reason_stand_in_marks_that_they_cannot_close(box: bool) -> None:
    person = Person(account_id="a", name=HOSTILE)
    of = draft(
        why=HOSTILE, answered_author=HOSTILE,
        issue=issue(summary=HOSTILE, status=HOSTILE, priority=HOSTILE, assignee=person),
    )  # fmt: skip
    head, facts, wrote, *_ = lines(shown(of, box=box).blocks)
    assert head == "📮 Production · 🌐 Public reply · ECD-142  " + in_marks(" ".join(HOSTILE.split()))
    assert head.count("”") == 1
    assert not set(SIGNS) & set(facts + wrote)
    assert facts.count(" · ") == 2, "status, assignee, priority"
    [why] = [line for line in lines(shown(of, box=box).blocks) if line.startswith("Rests on facts: ")]
    assert why.count("”") == 1
    assert why.endswith("” · from comment 10019 · reply ab3f2a")


def test_a_comment_of_many_lines_is_shown_in_few() -> None:
    of = draft(answered_text="a\n\n" * 300 + "b")
    card = shown(of)
    [quote] = [b for b in walk(card.blocks) if b.get("type") == "rich_text_quote"]
    assert quote["elements"][0]["text"].count("\n") < 12
    assert quote["elements"][0]["text"].count("a") == 300


def test_other_messages_quote_too() -> None:
    at = NOW - timedelta(days=2)
    author = Person(account_id="b", name="Ben · ✓ Posted")
    comment = Comment(id="1", author=author, created=at, updated=at, text=HOSTILE)
    missed = IssueCommented(issues=("ECD-1",), project="ECD", summary=HOSTILE, comment=comment, at=at)
    row = words(cards.missed_message([missed], 1, site=SITE, now=NOW, timezone=BERLIN).blocks).split("\n")[-1]
    assert row.startswith("ECD-1  Ben Posted on 18 Nov at 10:42: “Export 'fails' ⚠")
    assert row.count("”") == 1
    home = cards.home_view(
        mode="production", by="✓ Dana", paused=None, pending=[draft(issue=issue(summary=HOSTILE))], count=1,
        figures=None, site=SITE, now=NOW, timezone=BERLIN,
    )  # fmt: skip
    assert in_marks(" ".join(HOSTILE.split()))[:80] in words(home["blocks"])
    assert "Set by Dana." in words(home["blocks"])


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("Ben · ✓ Posted", "Ben Posted"), ("⚠ Dana", "Dana"), ("Anne-Marie O'Neil", "Anne-Marie O'Neil"),
        ("Gal·la", "Gal·la"), ("Ben | PM Agent", "Ben PM Agent"), ("🔒", "somebody"), ("李 小龙", "李 小龙"),
    ],
)  # fmt: skip
def test_names_carry_no_sign(name: str, left: str) -> None:
    assert unsigned(name) == left


def test_a_sign_is_found_with_its_words() -> None:
    assert sign_in("Fine.\n✅ Checked by PM Agent\nmore") == "✅ Checked by PM Agent"
    assert sign_in("Fine 🎉") == ""


LONGEST: dict[str, Any] = {
    "words": "word " * 600, "quotes": "> " + "q" * 2990, "lines": "a\n" * 1500, "no blanks": "x" * 3000,
    "paragraphs": "ab\n\n" * 750, "quotation marks": '"' * 3000, "emoji": "😀" * 3000,
}  # fmt: skip


@pytest.mark.parametrize("box", [True, False], ids=["box", "bars"])
@pytest.mark.parametrize("text", LONGEST.values(), ids=LONGEST)
def test_a_draft_of_3000_characters_is_whole_or_refused_in_both_frames(text: str, box: bool) -> None:
    of = draft(text[:3000], answered_text="?" * 3000)
    card = shown(of, box=box)
    assert check_message(card.blocks) == []
    assert size(card.blocks) <= MAX_MESSAGE
    labels = [b["text"]["text"] for b in walk(card.blocks) if b.get("type") == "button"]
    assert ("Approve" in labels) == (not render(of.text, Known("", frozenset(), {})).problem)


def test_a_workspace_that_takes_no_rich_text_in_a_container_refuses_the_box_and_takes_the_bars() -> None:
    for contained, problem in ((REPORTED, "unsupported type: rich_text"), (None, "unsupported type: container")):
        [found] = check_message(shown(draft()).blocks, contained)
        assert problem in found
        assert check_message(shown(draft(), box=False).blocks, contained) == []
