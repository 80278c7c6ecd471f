"""Which sentences state something that can be checked, and what the facts make of it. Sentences in, verdicts out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.claims import Facts, claims_in, examine
from bot.claims.values import due
from bot.domain.issues import Issue, Link, Person, PullRequest

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # a Monday
ANA, BEN, CHEN = (
    Person(account_id=f"id-{n.split()[0].lower()}", name=n) for n in ("Ana Ruiz", "Ben Okafor", "Chen Wei")
)
PEOPLE = {person.account_id: person.name for person in (ANA, BEN, CHEN)}

STATED = [
    # The sentence, and what of it is a claim: subject, kind, value, with "not" where it is denied.
    ("PR #12 is merged.", "PR #12 state MERGED"),
    ("PR 12 is merged", "PR #12 state MERGED"),
    ("Pull request #12 is merged.", "PR #12 state MERGED"),
    ("PR #12 is not merged yet.", "PR #12 state not MERGED"),
    ("PR #12 isn't merged yet.", "PR #12 state not MERGED"),
    ("PR #12 isn’t merged yet.", "PR #12 state not MERGED"),
    ("PR #12 hasn't been merged.", "PR #12 state not MERGED"),
    ("PR #12 is still unmerged.", "PR #12 state not MERGED"),
    ("PR #12 has already been merged into main.", "PR #12 state MERGED"),
    ("PR #12 was merged yesterday.", "PR #12 state MERGED"),
    ("Hi Ben, PR #12 has not yet been merged, and PR #13 is still open.", "PR #12 state not MERGED; PR #13 state OPEN"),
    ("PR #12 and PR #13 are merged.", "PR #12 state MERGED; PR #13 state MERGED"),
    ("PRs #12 and #13 are both merged.", "PR #12 state MERGED; PR #13 state MERGED"),
    ("PR #12 is open.", "PR #12 state OPEN"),
    ("PR #12 is no longer open.", "PR #12 state not OPEN"),
    ("PR #12 is up for review.", "PR #12 state OPEN"),
    ("PR #12 was declined.", "PR #12 state DECLINED"),
    ("PR #12 by Ana was declined without being merged.", "PR #12 state DECLINED"),
    ("PR #12 is closed.", "PR #12 state CLOSED"),
    ("PR #12 is still a draft.", "PR #12 state DRAFT"),
    ("The pull request is still in review.", "the pull request state OPEN"),
    ("[PR #12](https://bitbucket.org/acme/app/pull-requests/12) is merged.", "acme/app PR #12 state MERGED"),
    ("[Ana's fix](https://bitbucket.org/acme/app/pull-requests/12) is merged.", "acme/app PR #12 state MERGED"),
    ("https://bitbucket.org/acme/app/pull-requests/12 is open.", "acme/app PR #12 state OPEN"),
    ("acme/app#12 is merged.", "acme/app PR #12 state MERGED"),
    ("Sorry for the wait: **PR #12** is *not* merged, because Chen is away.", "PR #12 state not MERGED"),
    ("PR #12 (“Stream large exports”) is merged.", "PR #12 state MERGED"),
    ("PR #12 (merged) has the fix.", "PR #12 state MERGED"),
    ("PR #12 is approved but not merged.", "PR #12 approved some; PR #12 state not MERGED"),
    ("PR #12, approved by everybody asked, is not merged yet.", "PR #12 approved all; PR #12 state not MERGED"),
    ("PR #12 is approved by Chen.", "PR #12 approved_by Chen"),
    ("PR #12 has one of two approvals.", "PR #12 approvals 1"),
    ("Ana has a fix in review: PR #12, one of two approvals so far. It is not merged yet; Chen is the second reviewer.",
     "PR #12 approvals 1; PR #12 state not MERGED"),
    ("PR #12 has no approvals yet and is not merged.", "PR #12 approvals 0; PR #12 state not MERGED"),
    ("PR #12 has 2 approvals.", "PR #12 approvals 2"),
    ("Chen has approved PR #12.", "PR #12 approved_by Chen"),
    ("Ana and Chen approved PR #12.", "PR #12 approved_by Ana; PR #12 approved_by Chen"),
    ("PR #12 is open. Chen has not approved it yet.", "PR #12 state OPEN; PR #12 approved_by not Chen"),
    ("Nobody has approved PR #12 yet.", "PR #12 approvals 0"),
    ("Everybody has approved PR #12.", "PR #12 approved all"),
    ("At the moment, PR #12 is not merged.", "PR #12 state not MERGED"),
    ("The build of PR #12 is green.", "PR #12 build green"),
    ("On PR #12, CI is failed.", "PR #12 build failed"),
    ("PR #12's build has failed.", "PR #12 build failed"),
    ("PR #12 is open and its build is green.", "PR #12 state OPEN; PR #12 build green"),
    ("The pipeline is running.", "the pull request build running"),
    ("The build passed.", "the pull request build green"),
    ("ECD-5 is Done.", "ECD-5 status Done"),
    ("ECD-5 isn't done yet.", "ECD-5 status not done"),
    ("ECD-5 is still in review.", "ECD-5 status in review"),
    ("ECD-5 is in status Waiting for Legal.", "ECD-5 status Waiting for Legal"),
    ("ECD-5 has been closed.", "ECD-5 status closed"),
    ("The linked issue ECD-5 is In Progress.", "ECD-5 status In Progress"),
    ("[the blocker](https://example.atlassian.net/browse/ECD-5) is Done.", "ECD-5 status Done"),
    ("The issue is In Progress with Ana.", "the issue status In Progress"),
    ("ECD-5 is blocked by ECD-6.", "ECD-5 blocked ECD-6"),
    ("ECD-1 is blocked by ECD-88 (Export), which is In Progress.", "ECD-1 blocked ECD-88; ECD-88 status In Progress"),
    ("ECD-5 is assigned to Ana.", "ECD-5 assignee Ana"),
    ("ECD-5 is assigned to [~accountid:id-chen] and is To Do.", "ECD-5 assignee Chen Wei; ECD-5 status To Do"),
    ("ECD-5 is not assigned to anybody.", "ECD-5 assignee "),
    ("Nobody is assigned yet.", "the issue assignee "),
    ("Ana is assigned, and the issue is To Do.", "the issue status To Do; the issue assignee Ana"),
    ("ECD-5 is due on Friday.", "ECD-5 due weekday 4"),
    ("ECD-5 is due tomorrow.", "ECD-5 due tomorrow"),
    ("ECD-5 is due on 2026-11-27 and blocked by ECD-6.", "ECD-5 due 2026-11-27; ECD-5 blocked ECD-6"),
    ("The due date on the issue is 2026-11-27 (Friday); it is To Do now.",
     "the issue due 2026-11-27; the issue status To Do"),
    ("The due date is Friday, 6 March.", "the issue due --03-06"),
    ("No due date is set on the issue.", "the issue due none"),
    ("ECD-5 has no due date and no assignee.", "ECD-5 due none; ECD-5 assignee "),
    ("- PR #12 is merged\n- ECD-5 is Done", "PR #12 state MERGED; ECD-5 status Done"),
]  # fmt: skip

NOT_STATED = [
    # Conditions, plans and wishes
    "Once PR #12 is merged, it goes out.", "It goes out as soon as PR #12 is merged.", "If PR #12 is merged, tell me.",
    "PR #12 will be merged on Friday.", "PR #12 should be merged by now.", "PR #12 needs to be merged.",
    "PR #12 has yet to be merged.", "After that, PR #12 is merged.", "PR #12 is merged when the build is green.",
    "The plan: PR #12 is merged first, then ECD-5.", "PR #12 is merged tomorrow.", "Unless PR #12 is merged, we wait.",
    "Until ECD-5 is Done, nothing moves; PR #12 is open.", "PR #12 is to be merged.", "PR #12 would be approved.",
    "Needed before the release:\n\n- PR #12 is merged\n- ECD-5 is Done", "## Next steps\n\nPR #12 is merged",
    "- [ ] PR #12 is merged", "When (e.g. tomorrow) PR #12 is merged, ECD-5 is Done.",
    # Questions, other people's words, opinions
    "Is PR #12 merged?", "PR #12 is merged?", "Can you check PR #12 is merged?", "Ana wrote that PR #12 is merged.",
    "PR #12 is merged, Ana wrote on Monday.", "> PR #12 is merged", "“PR #12 is merged” stands in the log.",
    "I think PR #12 is merged.", "PR #12 is probably merged.", "Apparently the issue is Done.", "`PR #12 is merged`",
    "~~PR #12 is merged~~", "Please make sure PR #12 is merged.", "It is unclear whether ECD-5 is Done.",
    # Not about that, or not about now
    "The fix for ECD-5 is done.", "Work on ECD-5 is done.", "The tests of PR #12 are merged into one file.",
    "PR #12 was open on Monday.", "PR #12 was not merged on Monday.", "ECD-5 was in review last week.",
    "PR #12 is open to discussion.", "ECD-5 is open-ended.", "ECD-5 is nice.", "PR #12 fixes the export.",
    "PR #12 is almost merged.", "PR #12 is being merged.", "PR #12 is not only merged but also deployed.",
    "PR #12 is merged or declined.", "Neither PR #12 nor PR #13 is merged.", "ECD-5 is done in principle.",
    "The milestone is due on Friday.", "ECD-5 is due soon.", "The nightly build is red.", "The build on main is green.",
    "The rollout is in progress.", "Reviews are open; the door is closed.", "Is anybody assigned?",
    # Nobody knows what "it" is
    "It is not merged yet.", "PR #12 depends on PR #13. It is open.", "Hi Ben, it is Done.",
    # Other languages
    "PR #31 ist noch nicht gemergt.", "La PR #31 de Tom est ouverte, sans approbation pour l'instant.",
    "PR #7のレビュアーは佐藤さんです。",
    # Ordinary prose of replies
    "Hi Ben, Ana is on it; Chen reviews next.", "The issue does not say. Ana Ruiz, who has it, would know.",
    "Ana wrote a week ago that the fix needs a new certificate; whether that has arrived is not recorded here.",
    "The risk assessment has started; Omar is the one to ask.", "No firmware version is recorded here.",
    "Chen still has to review it.", "",
]  # fmt: skip


def found(text: str) -> str:
    claims = claims_in(text, own="ECD-1", people=PEOPLE, statuses=["Waiting for Legal"])
    parts = []
    for claim in claims:
        repository = getattr(claim.subject, "repository", "")
        value = f"{'not ' if claim.negated else ''}{claim.value}"
        parts.append(f"{repository + ' ' if repository else ''}{claim.subject.name} {claim.kind} {value}")
    return "; ".join(parts)


@pytest.mark.parametrize(("text", "claims"), STATED, ids=[text for text, _ in STATED])
def test_what_is_stated(text: str, claims: str) -> None:
    assert found(text) == claims


@pytest.mark.parametrize("text", NOT_STATED)
def test_what_is_not_stated(text: str) -> None:
    assert found(text) == ""


def test_the_words_of_a_claim_are_those_of_the_text() -> None:
    text = "Hi Ben, PR #12 and PR #13 haven't been merged. It's all with Ana. PR #12, one of two approvals, is open."
    said = [claim.says for claim in claims_in(text)]
    assert said == [
        "PR #12 and PR #13 have not been merged", "PR #12 and PR #13 have not been merged",
        "PR #12 has one of two approvals", "PR #12 is open",
    ]  # fmt: skip


PIECES = (
    "PR #12", "PR #13", "ECD-5", "ECD-6", "is", "are", "was", "has", "been", "not", "merged", "open", "approved", "by",
    "Chen", "Ana", "and", ",", ".", ";", "(", ")", "Done", "blocked by", "due on", "Friday", "2026-11-27", "the issue",
    "it", "which", "the build", "of", "green", "In Progress", "once", "if", "?", "\n", "\n- ", "> ", "`", "**", "“",
    "[x](https://e.x/a/b/pull-requests/12)", "[~accountid:id-ana]", "assigned to", "nobody", "no due date", "\ufffc",
    "one of two approvals", "\ue000P0\ue001",
)  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=60).map(" ".join) | st.text(max_size=300))
def test_any_text_is_read_and_checked_without_an_error(text: str) -> None:
    claims = claims_in(text, own="ECD-1", people=PEOPLE, statuses=["", "Done."])
    examined = examine(claims, facts())
    assert all(
        c.sentence.startswith("The draft says that ") and c.sentence.endswith(".") for c in examined.contradictions
    )
    assert examined == examine(claims_in(text, own="ECD-1", people=PEOPLE, statuses=["", "Done."]), facts())


@given(
    st.sampled_from([text for text, _ in STATED]),
    st.sampled_from(["If all goes well, ", "Ana thinks ", "Once again: if "]),
)
def test_a_hedge_before_it_takes_every_claim_out_of_a_sentence(text: str, hedge: str) -> None:
    first = text.partition(". ")[0]
    if "\n" not in text and "due" not in text:
        assert found(f"{hedge}{first}.") == ""


# Against the facts


def pull(**changes: Any) -> PullRequest:
    return PullRequest(**{
        "id": "acme/app#12", "repository": "acme/app", "number": 12, "title": "Stream", "url": "https://x.example/12",
        "state": "OPEN", "author": "Ana Ruiz", "reviewers": ("Ben Okafor", "Chen Wei"), "approved_by": ("Ben Okafor",),
        "builds": {"CI": "SUCCESSFUL"}, "updated": NOW, **changes,
    })  # fmt: skip


def facts(*pulls: PullRequest, **changes: Any) -> Facts:
    issue = Issue(
        key="ECD-1", project="ECD", summary="Export", url="", status="In Progress", status_category="indeterminate",
        assignee=ANA, reporter=BEN, due=date(2026, 11, 27),
        links=(Link(relation="is blocked by", key="ECD-6", summary="", status="To Do"),),
    )  # fmt: skip
    done = Issue(key="ECD-5", project="ECD", summary="", url="", status="Freigegeben", status_category="done")
    return Facts(**{
        "issue": issue, "others": {"ECD-5": done}, "pulls": pulls or (pull(),), "people": frozenset(PEOPLE.values()),
        "now": NOW, **changes,
    })  # fmt: skip


def verdict(text: str, known: Facts) -> str:
    examined = examine(claims_in(text, own="ECD-1", people=PEOPLE, statuses=["Freigegeben"]), known)
    return " | ".join((*(c.sentence for c in examined.contradictions), *examined.unchecked))


MERGED = pull(state="MERGED", closed=NOW - timedelta(minutes=5))


@pytest.mark.parametrize(
    ("text", "known", "says"),
    [
        ("PR #12 is not merged yet.", facts(MERGED), "that PR #12 is not merged yet; it was merged 5 minutes ago."),
        ("PR #12 is still open.", facts(MERGED), "that PR #12 is still open; it was merged 5 minutes ago."),
        ("The pull request is open.", facts(MERGED), "the pull request is open; PR #12 was merged 5 minutes ago."),
        ("PR #12 is open.", facts(pull(state="DECLINED", closed=NOW - timedelta(days=3))),
         "it was declined on 20 November."),
        ("PR #12 is merged.", facts(), "that PR #12 is merged; it is open."),
        ("PR #12 is a draft.", facts(), "it is no draft any more."),
        ("PR #12 has one of two approvals.", facts(pull(approved_by=("Ben Okafor", "Chen Wei"))),
         "it has two approvals, by Ben Okafor and Chen Wei."),
        ("PR #12 is approved.", facts(pull(approved_by=())), "it has no approval."),
        ("PR #12 is approved by everybody.", facts(), "it has one approval, by Ben Okafor."),
        ("Chen has approved PR #12.", facts(),
         "that Chen has approved PR #12; PR #12 has one approval, by Ben Okafor."),
        ("Ben has not approved PR #12 yet.", facts(), "PR #12 has one approval, by Ben Okafor."),
        ("The build of PR #12 is green.", facts(pull(builds={"CI": "FAILED", "Lint": "SUCCESSFUL"})),
         "is green; CI failed."),
        ("The build has failed.", facts(), "the build of the pull request has failed; it passed."),
        ("The issue is Done.", facts(), "that the issue is Done; ECD-1 is In Progress."),
        ("ECD-5 is In Progress.", facts(), "that ECD-5 is In Progress; it is Freigegeben."),
        ("ECD-5 isn't done yet.", facts(), "it is Freigegeben."),
        ("ECD-1 is blocked by ECD-5.", facts(), "ECD-5 is Freigegeben."),
        ("ECD-1 is assigned to Chen.", facts(), "it is assigned to Ana Ruiz."),
        ("Nobody is assigned.", facts(), "that nobody is assigned; ECD-1 is assigned to Ana Ruiz."),
        ("ECD-5 is assigned to Ana.", facts(), "nobody is assigned."),
        ("ECD-1 is due on Thursday.", facts(), "the due date in Jira is Friday, 27 November 2026."),
        ("ECD-5 is due on Friday.", facts(), "it has no due date in Jira."),
        ("No due date is set.", facts(), "the due date in Jira is Friday, 27 November 2026."),
        # What cannot be checked, and is worth a word
        ("PR #99 is merged.", facts(), "Not checked: that PR #99 is merged (PR #99 is not known here)."),
        ("PR #12 is open.", facts(unread={"PR #12": "Bitbucket is down"}),
         "Not checked: that PR #12 is open (Bitbucket is down)."),
        ("PR #12 is merged.", facts(unread={"PR #12": "Bitbucket is down"}), "PR #12 is merged; it is open."),
        ("ECD-9 is Done.", facts(), "Not checked: that ECD-9 is Done (ECD-9 was not read)."),
        ("ECD-1 is blocked by ECD-7.", facts(), "(no link in Jira says so)."),
        ("The build of PR #12 is green.", facts(pull(builds={})), "(no build of PR #12 is known here)."),
    ],
)  # fmt: skip
def test_what_the_facts_contradict(text: str, known: Facts, says: str) -> None:
    assert says in verdict(text, known)
    assert " | " not in verdict(text, known)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("PR #12 is not merged yet, and PR #12 is open.", facts()),
        ("PR #12 is merged.", facts(MERGED)),
        ("PR #12 is closed.", facts(MERGED)),
        ("PR #12 has one of two approvals. It is approved by Ben.", facts()),
        ("PR #12 is not approved yet.", facts()),  # one of two: either may be said
        ("Benjamin has approved PR #12.", facts()),
        ("Lisa has not approved PR #12 yet.", facts(pull(approved_by=("Li Wei",)))),
        ("Zoe has approved PR #12.", facts()),  # nobody here is called so: perhaps by another name
        ("PR #12 is open; the build is green.", facts(pull(builds={"CI": "INPROGRESS"}))),
        ("The pull request is merged.", facts(pull(), pull(id="acme/app#13", number=13))),  # which?
        ("The issue is in progress.", facts()),
        ("ECD-5 is Done.", facts()),  # the site calls it Freigegeben
        ("ECD-5 is Freigegeben and closed.", facts()),
        ("ECD-1 is open.", facts()),
        ("ECD-1 is blocked by ECD-6.", facts()),
        ("ECD-1 is assigned to Ana. ECD-5 is unassigned.", facts()),
        ("ECD-1 is assigned to Annemarie.", facts()),
        ("ECD-1 is due on Friday. The due date of ECD-1 is 27 November.", facts()),
        ("[PR #12](https://b.example/acme/app/pull-requests/12) is open.",
         facts(pull(), pull(id="acme/web#12", repository="acme/web", state="MERGED"))),
    ],
)  # fmt: skip
def test_what_holds_or_leaves_room_is_left_alone(text: str, known: Facts) -> None:
    assert verdict(text, known) == ""


def test_a_contradiction_is_known_again_however_long_ago_and_not_for_another_fact() -> None:
    claims = claims_in("PR #12 is not merged yet.")
    [first] = examine(claims, facts(MERGED)).contradictions
    [later] = examine(claims, facts(MERGED, now=NOW + timedelta(hours=2))).contradictions
    assert first.key == later.key
    assert first.sentence != later.sentence
    approved = claims_in("Chen has approved PR #12.")
    keys = {examine(approved, facts(pull(approved_by=who))).contradictions[0].key for who in ((), ("Ben Okafor",))}
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on Friday", "weekday 4"), ("Friday, 6 March", "--03-06"), ("6th of March 2026", "2026-03-06"),
        ("today", "today"),
        ("March 6, 2026", "2026-03-06"), ("on the 6 Sept.", "--09-06"), ("2026-02-30", None), ("soon", None),
        ("Friday next week", None), ("29 February", "--02-29"), ("by Friday", None), ("6", None),
    ],
)  # fmt: skip
def test_dates(text: str, value: str | None) -> None:
    assert due(text) == value
