"""What stands in the request to Claude about an issue and what is around it, for each audience, over the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.demo.jira.world import Account
from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.prompting import read_block
from tests.acceptance.test_main_path import NO, YES, exported

CANARY = re.compile(r"zq[a-z]+")


def messages(stage: Stage, key: str) -> list[str]:
    """What Claude was asked about an issue, besides its instructions: triage and reply."""
    found = [body["messages"][0]["content"] for body in stage.claude.requests]
    return [message for message in found if read_block(message)["issue"]["key"] == key]


def shown(stage: Stage, key: str) -> dict[str, Any]:
    """The data of the newest request for a reply."""
    found: dict[str, Any] = read_block([m for m in messages(stage, key) if m.startswith("Task: reply")][-1])
    return found


async def test_what_is_around_an_issue_and_what_became_of_it(stage: Stage) -> None:
    jira, bitbucket = stage.jira, stage.bitbucket
    old = datetime.now(UTC) - timedelta(days=2)
    jira.issue("ECD-5", "Exports", issue_type="Epic", assignee="dana")
    jira.issue("ECD-8", "The parser", status="In Review", assignee="chen")
    jira.issue(
        "ECD-1", "Export fails", status="In Progress", assignee="ana", reporter="ben", parent="ECD-5", at=old,
        links=[("is blocked by", "ECD-8")], components=["Exporter"],
        fix_versions=[{"name": "4.2.1", "releaseDate": "2026-12-18"}],
        sprints=[{"name": "Sprint 12", "state": "active", "endDate": "2026-12-04T16:00:00.000Z"}],
    )  # fmt: skip
    jira.issue("ECD-11", "Tests", issue_type="Sub-task", parent="ECD-1", status="Done")
    jira.issue("ECD-12", "Docs", parent="ECD-1", assignee="elif")
    await stage.start_bot()
    await jira.assign("ECD-1", None)
    await jira.assign("ECD-1", "ana")
    own = await bitbucket.open("ECD-1 Stream exports", author="ana")
    await bitbucket.build(own.branch, "FAILED")
    await bitbucket.merge(own, "chen")
    await bitbucket.open("ECD-8 New parser", author="chen")
    robot = jira.people["ben2"] = Account("ben2", "5c5f8806ffffffffffffffff", "Ben  OKAFOR")
    stage.claude.script(NO, YES)
    asked = await jira.comment("ECD-1", "ben2", "Thanks.", at=old + timedelta(hours=1))
    jira.write("ECD-1", "chen", "On it.", at=old + timedelta(hours=2))
    await stage.slack.until(lambda: len(messages(stage, "ECD-1")) == 1, 20, "for the first triage")
    stage.claude.script(YES, YES)
    await jira.edit_comment("ECD-1", asked.id, "Thanks. What is left, and is it in 4.2.1?")
    card = await stage.slack.card("ECD-1")
    namesake = "⚠ “Ben OKAFOR”, who wrote what is answered, is not the account of “Ben Okafor”, who reported this"
    assert namesake in card.words

    data = shown(stage, "ECD-1")
    assert data["to_answer"]["edited_at"] > data["to_answer"]["at"]
    assert data["to_answer"]["seen_by"] == "everybody who sees the issue"
    assert data["to_answer"]["author"]["id"] == robot.account_id
    assert data["to_answer"]["author"]["not_the_same_account_as"] == "Ben Okafor, who reported this"
    assert "after_the_one_to_answer" not in data["comments"][0], "the question was written into it later"
    issue = data["issue"]
    assert issue["fix_versions"] == ["4.2.1 (not released, planned for 2026-12-18 (Friday))"]
    assert (issue["sprint"], issue["components"]) == (["Sprint 12 (active, ends 2026-12-04 (Friday))"], ["Exporter"])
    assert issue["status_means"] == "started, not finished"
    assert (data["parent"]["key"], data["parent"]["assignee"]) == ("ECD-5", "Dana Petrova")
    assert [(c["key"], c["status"], c["assignee"]) for c in data["children"]] == [
        ("ECD-12", "To Do", "Elif Kaya"), ("ECD-11", "Done", "nobody"),
    ]  # fmt: skip
    assert data["children_count"] == {"all": 2, "To Do": 1, "Done": 1}
    [link] = data["linked_issues"]
    assert (link["key"], link["status"], link["assignee"]) == ("ECD-8", "In Review", "Chen Wei")
    assert [(h["from"], h["to"]) for h in data["history"]] == [("Ana Ruiz", "nobody"), ("nobody", "Ana Ruiz")]
    [pull] = data["pull_requests"]
    assert (pull["state"], pull["merged_by"], pull["merged_at"]) == ("merged", "Chen Wei", pull["updated"])
    assert pull["builds"][0].keys() == {"name", "state", "at"}
    [theirs] = data["pull_requests_of_other_issues"]
    assert (theirs["number"], theirs["not_of_this_issue_but_of"]) == (2, "ECD-8 (is blocked by)")
    for message in messages(stage, "ECD-1"):
        assert not re.search(r"indeterminate|INPROGRESS|SUCCESSFUL|FAILED|MERGED|OPEN", message)


def plant(stage: Stage, key: str, word: str, customer: str) -> None:
    """An issue with a word of its own, which begins with `word`, in every place there is."""
    jira, project = stage.jira, key.partition("-")[0]
    mine = "zq" + word
    jira.issue(f"{project}-50", f"{mine}parent", issue_type=f"{mine}parenttype", assignee="dana", status="Done")
    jira.issue(f"{project}-51", f"{mine}linked", assignee="chen", status="In Review")
    jira.issue(f"{project}-52", f"{mine}level", security="Board")
    jira.issue("OTH-1", f"{mine}unwatched")
    jira.issue(
        key, f"{mine}summary", description=f"{mine}description", assignee="ana", reporter=customer, due="2026-12-01",
        parent=f"{project}-50", issue_type=f"{mine}type", priority=f"{mine}priority", labels=[f"{mine}label"],
        components=[f"{mine}component"], fix_versions=[{"name": f"{mine}version"}], resolution=f"{mine}resolution",
        sprints=[{"name": f"{mine}sprint", "state": "active"}],
        links=[(f"{mine}relation", f"{project}-51"), ("blocks", f"{project}-52"), ("blocks", "OTH-1")],
    )  # fmt: skip
    jira.issue(f"{project}-53", f"{mine}child", parent=key, status="Done")
    jira.issue(f"{project}-54", f"{mine}childlevel", parent=key, security="Board")
    jira.issue("OTH-2", f"{mine}childunwatched", parent=key)
    jira.write(key, "elif", f"{mine}public")
    jira.write(key, "elif", f"{mine}internal", public=False)
    jira.write(key, "elif", f"{mine}role", visibility={"type": "role", "value": f"{mine}rolename"})
    for name in ("status", "labels", "description", "Sprint", "Link", "Parent"):
        after = f"This issue blocks {project}-52" if name in ("Link", "Parent") else "other"
        entry = {"field": name, "fromString": f"{mine}was{name.lower()}", "toString": after}
        jira.issues[key].history.append(
            {"id": jira.next_id(), "author": jira.people["ana"], "created": datetime.now(UTC), "items": [entry]}
        )


PUBLIC = {"summary", "description", "type", "priority", "resolution", "public", "asked", "wasstatus"}
TEAM = PUBLIC | {
    "label", "component", "version", "sprint", "relation", "linked", "child", "parent", "parenttype", "pull",
    "pullbranch", "otherpull", "waslabels", "wasdescription", "wassprint",
}  # fmt: skip


async def test_each_audience_is_shown_what_it_may_know_and_nothing_of_another(stage: Stage) -> None:
    """Words of their own in every field, comment, change and issue around, of three issues at once.

    A customer who gets a public reply; a team that gets an internal note; a team's own issue, in public.
    """
    jira = stage.jira
    jira.project("HEL", "Help", kind="service_desk")
    jira.people["lou"] = Account("lou", "qm:2", "Lou zqbname", "customer")
    expected = {"SUP-1": ("a", PUBLIC), "HEL-1": ("b", TEAM | {"internal", "name"}), "ECD-1": ("c", TEAM)}
    plant(stage, "SUP-1", "a", "mira")
    plant(stage, "HEL-1", "b", "lou")
    plant(stage, "ECD-1", "c", "ben")
    await stage.start_bot(JIRA_PUBLIC_REPLIES="SUP", JIRA_PROJECTS="SUP,HEL,ECD")
    for key, (word, _) in expected.items():
        own, other = f"zq{word}pull", f"zq{word}otherpull"
        await stage.bitbucket.open(f"{key} {own}", branch=f"{key}-{own}branch")
        await stage.bitbucket.open(f"{key.partition('-')[0]}-51 {other}", branch=f"{key.partition('-')[0]}-51")
    stage.claude.script(*[YES] * 6)
    for key, (word, _) in expected.items():
        await jira.comment(key, jira.issues[key].reporter.handle, f"zq{word}asked Is it known?")
        await stage.slack.card(key)
    for key, (word, allowed) in expected.items():
        triage, reply = messages(stage, key)
        assert set(CANARY.findall(reply)) == {f"zq{word}{place}" for place in allowed}, key
        assert set(CANARY.findall(triage)) <= set(CANARY.findall(reply))
        assert f"zq{word}otherpull" not in triage, "whether a reply is due does not hang on it"
        withheld = ("OTH-", "-52", "-54", "Board", *(("-50", "-51", "-53", "/pull-requests/") if word == "a" else ()))
        for secret in withheld:
            assert secret not in triage + reply, (key, secret)
    [customer, *team] = [messages(stage, key)[1] for key in expected]
    assert "nothing can be shared yet" in customer
    assert all("nothing can be shared yet" not in message for message in team)


async def test_a_question_that_is_written_into_a_description_is_answered(stage: Stage) -> None:
    stage.jira.issue("ECD-1", "Export", description="It is slow.", assignee="ana", reporter="ben")
    await stage.start_bot()
    await stage.jira.change("ECD-1", "description", "It is slow!", by="elif")
    await stage.jira.change("ECD-1", "description", "It is slow. Why? (a program)", by="robot")
    await stage.jira.change("ECD-1", "description", "It is slow.", by="elif")
    stage.claude.script(YES, YES)
    await stage.jira.change("ECD-1", "description", "It is slow. Who is looking at it?", by="elif")
    card = await stage.slack.card("ECD-1")
    assert "Who is looking at it?" in card.words
    assert "Elif Kaya changed the description at" in card.words
    data = shown(stage, "ECD-1")
    assert data["to_answer"]["changed_by"]["name"] == "Elif Kaya"
    assert data["to_answer"]["added"] == "Who is looking at it?", "what is new in a description that is long otherwise"
    events = [(e["kind"], e["reason"]) for e in await exported(stage, "webhook_events")]
    assert events == [
        ("issue_changed", "context"), ("issue_changed", "written by an app"), ("issue_changed", "context"),
        ("issue_changed", "draft"),
    ]  # fmt: skip
    # A later change of the words holds it, as for an issue that was created with its question.
    await stage.jira.change("ECD-1", "description", "It is slow. Who is looking at it? Urgent!", by="elif")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "The description was changed")
