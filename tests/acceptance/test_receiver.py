"""What reaches the receiver as a process (faults 1–10): what is forged, repeated, malformed or too much leaves nothing.

Every row of the answer table, in detail and fast, is in `tests/test_webhooks.py`; here the whole program stands behind
the door, so that "no Claude call" and "one draft" are seen where they would happen.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
from typing import Any

import aiohttp
import pytest

from bot.demo.hooks import Delivery, signature
from bot.demo.process import BotFailed
from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import YES, exported
from tests.model.reins import Reins
from tests.stores import both

SECRETS = "the-new-secret-of-jira,the-old-secret-of-jira"


def question(stage: Stage, key: str) -> tuple[dict[str, Any], bytes]:
    """A comment that is in Jira, and the webhook's payload about it, not delivered yet."""
    stage.jira.issue(key, status="In Progress", assignee="ana")
    written = stage.jira.write(key, "ben", "Is anybody looking at this?")
    payload = stage.jira.comment_payload("comment_created", stage.jira.issues[key], written)
    return payload, json.dumps(payload).encode()


async def send(stage: Stage, body: bytes, **headers: str) -> int:
    """Deliver raw bytes once and return the status. Header names with `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return (await stage.jira.deliver(None, raw=body, retries=0, headers=given)).status


async def test_1_to_10_what_is_not_jiras_leaves_no_trace(stage: Stage) -> None:
    await stage.start_bot()
    payload, body = question(stage, "ECD-1")
    good = signature(stage.jira.secret, body)
    flipped = body.replace(b"Is anybody", b"is anybody")
    refused = {
        "1 forged": await send(stage, body, X_Hub_Signature=signature("another secret", body)),
        "1 one bit changed": await send(stage, flipped, X_Hub_Signature=good),
        "2 empty secret": await send(stage, body, X_Hub_Signature=signature("", body)),
        "3 sha1": await send(stage, body, X_Hub_Signature=good.replace("sha256", "sha1")),
        "3 no =": await send(stage, body, X_Hub_Signature=good.replace("=", "")),
        "3 not ASCII": await send(stage, body, X_Hub_Signature="sha256=é" + good[8:]),
        "3 6 kB": await send(stage, body, X_Hub_Signature="sha256=" + "a" * 6000),
        "4 serialised anew": await send(stage, json.dumps(payload, indent=1).encode(), X_Hub_Signature=good),
        "4 byte order mark": await send(stage, b"\xef\xbb\xbf" + body, X_Hub_Signature=good),
        "4 line end added": await send(stage, body + b"\r\n", X_Hub_Signature=good),
    }
    assert set(refused.values()) == {401}, refused
    nested = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    wrong = {
        "7 too large": (await send(stage, b" " * (5 * 2**20 + 1)), 413),
        "8 form": (await send(stage, body, Content_Type="application/x-www-form-urlencoded"), 415),
        "8 gzip": (await send(stage, gzip.compress(body), Content_Encoding="gzip"), 415),
        "9 depth": (await send(stage, nested), 400),
        "9 digits": (await send(stage, b'{"timestamp":' + b"9" * 5000 + b"}"), 400),
        "9 NaN": (await send(stage, b'{"timestamp":NaN}'), 400),
        "9 surrogate": (await send(stage, b'{"webhookEvent":"\\ud800"}'), 400),
        "9 no object": (await send(stage, b"[]"), 400),
        "9 no JSON": (await send(stage, b"comment_created"), 400),
    }
    assert {name: got for name, (got, due) in wrong.items() if got != due} == {}
    assert await exported(stage, "webhook_events") == []
    assert await exported(stage, "audit") == []

    accepted = await send(stage, body, X_Hub_Signature=good.upper().replace("SHA256", "sha256"))
    assert accepted == 202, "hex in capitals is the same signature"
    await stage.slack.card("ECD-1")
    assert len(stage.claude.requests) == 2
    assert "error" not in {json.loads(line).get("level") for line in stage.log.splitlines() if line.startswith("{")}


async def test_10_damaged_payloads_are_never_an_error_of_ours(stage: Stage) -> None:
    await stage.start_bot()
    chance = random.Random(10)  # noqa: S311 - the same damage in every run
    statuses = set()
    for number in range(150):
        payload, _ = question(stage, f"ECD-{number + 1}")
        place: Any = payload
        while True:
            name = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
            inner = place[name]
            if not isinstance(inner, dict | list) or not inner or chance.random() < 0.3:
                break
            place = inner
        if chance.random() < 0.3:
            del place[name]
        else:
            place[name] = chance.choice([None, 7, "", "x", [], {}, True, -1.5, [None], {"id": []}])
        statuses.add((await stage.jira.deliver(payload, retries=0)).status)
    assert statuses <= {200, 202, 422}
    assert 422 in statuses


@pytest.mark.parametrize("secret", ["", "   ", ",", " , "])
async def test_2_a_blank_secret_refuses_to_start(stage: Stage, secret: str) -> None:
    with pytest.raises(BotFailed, match=r"ended with 2[\s\S]*JIRA_WEBHOOK_SECRET"):
        await stage.start_bot(JIRA_WEBHOOK_SECRET=secret)


async def test_5_a_secret_is_rotated(stage: Stage) -> None:
    await stage.start_bot(JIRA_WEBHOOK_SECRET=SECRETS)
    for number, secret in enumerate(SECRETS.split(",")):
        _, body = question(stage, f"ECD-{number + 1}")
        assert await send(stage, body, X_Hub_Signature=signature(secret, body)) == 202
    await stage.stop_bot()
    await stage.start_bot(JIRA_WEBHOOK_SECRET="the-new-secret-of-jira")
    _, body = question(stage, "ECD-3")
    assert await send(stage, body, X_Hub_Signature=signature("the-old-secret-of-jira", body)) == 401
    assert await send(stage, body, X_Hub_Signature=signature("the-new-secret-of-jira", body)) == 202


async def test_6_however_often_it_comes_it_is_one_draft(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    payload, _ = question(stage, "ECD-1")
    at_once = await asyncio.gather(*(stage.jira.deliver(payload, identifier="same") for _ in range(20)))
    assert sorted(delivery.status for delivery in at_once) == [200] * 19 + [202]
    assert len({delivery.event_id for delivery in at_once}) == 1
    assert (await stage.jira.deliver(payload, identifier="another")).status == 200, "the same body under a new id"
    old_style = await stage.jira.announce_issue(
        "jira:issue_updated", stage.jira.issues["ECD-1"], stage.jira.people["ben"], "issue_commented",
        {"comment": payload["comment"]},
    )  # fmt: skip
    assert old_style.answer == {"status": "duplicate", "event_id": at_once[0].event_id}
    await stage.slack.card("ECD-1")
    await stage.stop_bot()
    await stage.start_bot()
    again = await stage.jira.deliver(payload, identifier="same")
    assert again.answer == {"status": "duplicate", "event_id": at_once[0].event_id}
    assert len(await exported(stage, "drafts")) == 1
    assert len(await stage.slack.cards()) == 1


@both
async def test_14_killed_between_storing_and_answering(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_FAILPOINT="intake.stored")
    stage.claude.script(YES)
    payload, _ = question(stage, "ECD-1")
    lost = await stage.jira.deliver(payload, identifier="same", retries=0)
    assert lost.status == 0
    assert await stage.ended() == -9
    await stage.start_bot()
    assert (await stage.jira.deliver(payload, identifier="same")).answer["status"] == "duplicate"
    await stage.slack.card("ECD-1")
    assert len(await exported(stage, "drafts")) == 1


async def test_11_a_comment_that_comes_after_its_own_edit_is_not_answered_twice(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    written_first, _ = question(stage, "ECD-1")
    comment = stage.jira.comments("ECD-1")[0]
    await asyncio.sleep(0.05)  # Jira's times are milliseconds
    await stage.jira.edit_comment("ECD-1", comment.id, "Is anybody looking at this, and when is it done?")
    card = await stage.slack.card("ECD-1")
    late = await stage.jira.deliver(written_first)
    assert late.status == 202
    cycles: list[dict[str, object]] = []
    while len(cycles) < 2:
        cycles = await exported(stage, "agent_cycles")
    assert [(c["outcome"], c["reason"]) for c in cycles] == [("draft", ""), ("silence", "context")]
    assert "later version" in str(cycles[1]["reasoning"])
    assert [m.ts for m in await stage.slack.cards()] == [card.ts]


async def test_an_expired_draft_is_not_approved_before_the_sweep(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_DRAFT_DAYS="0.00002")
    stage.claude.script(YES)
    payload, _ = question(stage, "ECD-1")
    await stage.jira.deliver(payload)
    card = await stage.slack.card("ECD-1", button="Approve")
    await asyncio.sleep(2.0)
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.whispered(DANA, "This draft has expired.")
    await stage.slack.changes(card, "nobody decided")
    assert not stage.jira.posted("ECD-1")


async def test_while_paused_the_clock_of_a_draft_stands(stage: Stage, reins: Reins) -> None:
    await stage.start_bot()
    cards = []
    for key in ("ECD-1", "ECD-2", "ECD-3"):
        stage.claude.script(YES)
        payload, _ = question(stage, key)
        await stage.jira.deliver(payload)
        cards.append(await stage.slack.card(key, button="Approve"))
    await stage.slack.command(DANA, text="pause")
    await stage.slack.whispered(DANA, "paused")
    reins.shift(8 * 86_400)
    await stage.slack.click(DANA, cards[0], "Approve")
    await stage.slack.changes(cards[0], "Posted")
    await stage.slack.command(DANA, text="resume")
    await stage.slack.whispered(DANA, "goes on")
    await stage.slack.click(DANA, cards[1], "Skip")
    await stage.slack.changes(cards[1], "Skipped")
    reins.shift(16 * 86_400)
    await stage.slack.click(DANA, cards[2], "Approve")
    await stage.slack.changes(cards[2], "nobody decided")
    assert not stage.jira.posted("ECD-3")


async def test_an_anonymous_comment_is_somebodys_and_gets_its_card(stage: Stage) -> None:
    """Jira sends no author for a comment of somebody who was not logged in."""
    await stage.start_bot()
    stage.claude.script(YES)
    payload, _ = question(stage, "ECD-1")
    del payload["comment"]["author"]
    payload["comment"]["updateAuthor"] = None
    delivery = await stage.jira.deliver(payload)
    assert delivery.status == 202
    card = await stage.slack.card("ECD-1", button="Approve")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [line] = [line for line in await exported(stage, "audit") if line["action"] == "event.accepted"]
    assert (line["event_id"], line["actor"]) == (delivery.event_id, "system")
    assert (await stage.jira.deliver(payload)).answer == {"status": "duplicate", "event_id": delivery.event_id}


@pytest.mark.parametrize("form", ["Automation format", "Jira format"])
async def test_a_rule_that_sends_issue_data_gets_its_draft(stage: Stage, form: str) -> None:
    await stage.start_bot(JIRA_AUTOMATION_TOKEN="a-token-of-some-length")
    stage.claude.script(YES, YES)
    _, _ = question(stage, "ECD-1")
    issue = {"self": "https://x.example/rest/api/2/issue/10001", "id": 10001, "key": "ECD-1", "fields": {"updated": 1}}

    async def ask(updated: int) -> Delivery:
        issue["fields"] = {"summary": "Export fails", "updated": updated}
        body = json.dumps({"issue": issue} if form == "Jira format" else issue).encode()
        target = f"http://127.0.0.1:{stage.bot_port}/webhooks/jira"
        headers = {"Content-Type": "application/json", "X-PMAgent-Token": "a-token-of-some-length"}
        async with aiohttp.ClientSession() as session, session.post(target, data=body, headers=headers) as found:
            return Delivery("", None, found.status, await found.json())

    first = await ask(1)
    assert first.status == 202
    card = await stage.slack.card("ECD-1", button="Approve")
    again = await ask(1)
    assert (again.status, again.event_id) == (200, first.event_id), "the same issue, unchanged, is asked about once"
    later = await ask(2)
    assert later.status == 202
    assert later.event_id != first.event_id
    await stage.slack.changes(card, "newer draft")


class TestFirstStart:
    """The folder is new, and so is our account: only Jira can say which it is."""

    async def test_jira_says_it_late(self, stage: Stage) -> None:
        stage.jira.fail(r"GET .*/myself$", *(Fault("hang", seconds=3) for _ in range(3)))
        await stage.start_bot()
        stage.jira.issue("ECD-1", status="In Progress", assignee="ana")
        written = stage.jira.write("ECD-1", "agent", "Is anybody looking at this?")
        mine = stage.jira.comment_payload("comment_created", stage.jira.issues["ECD-1"], written)
        delivery = await stage.jira.deliver(mine, retries=0)
        assert delivery.status == 200
        assert delivery.answer["reason"] == "our own comment"
        assert stage.claude.requests == []

    @pytest.mark.usefixtures("reins")
    async def test_jira_does_not_say_it_for_long(self, stage: Stage) -> None:
        """Its answer is on the way: what may be ours has to be brought again."""
        stage.jira.fail(r"GET .*/myself$", Fault("hang", seconds=12))
        await stage.start_bot()
        payload, _ = question(stage, "ECD-1")
        refused = await stage.jira.deliver(payload, retries=0)
        assert refused.status == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert "account" in refused.answer["reason"]
        assert await exported(stage, "webhook_events") == []
        malformed = payload | {"timestamp": "x"}
        assert (await stage.jira.deliver(malformed, retries=0)).status == 422, "fields come first"

    @pytest.mark.usefixtures("reins")
    async def test_jira_is_away(self, stage: Stage) -> None:
        """Everything is taken in and waits; when Jira is back, our own comment is found to be ours."""
        stage.jira.fail(r"GET .*/myself$", *(Fault("answer", 503) for _ in range(50)))
        await stage.start_bot()
        stage.claude.script(YES)
        payload, _ = question(stage, "ECD-1")
        stage.jira.issue("ECD-2", status="In Progress", assignee="ana")
        written = stage.jira.write("ECD-2", "agent", "Is anybody looking at this?")
        mine = stage.jira.comment_payload("comment_created", stage.jira.issues["ECD-2"], written)
        assert (await stage.jira.deliver(mine, retries=0)).status == 202
        assert (await stage.jira.deliver(payload, retries=0)).status == 202
        states = {event["issue"]: event["state"] for event in await exported(stage, "webhook_events")}
        assert states["ECD-1"] == "received"
        stage.jira.mend()
        await stage.slack.card("ECD-1", button="Approve", seconds=30)
        while {event["state"] for event in await exported(stage, "webhook_events")} != {"done"}:
            pass  # each look is a process of its own, and time enough
        [ended] = [c for c in await exported(stage, "agent_cycles") if c["issue"] == "ECD-2"]
        assert ended["reason"] in ("our own comment", "written by an app")
        assert len(await stage.slack.cards()) == 1

    async def test_a_later_start_remembers_it(self, stage: Stage) -> None:
        await stage.start_bot()
        stage.claude.script(YES)
        payload, _ = question(stage, "ECD-1")
        await stage.jira.deliver(payload, retries=0)
        await stage.slack.card("ECD-1", button="Approve")
        await stage.stop_bot()
        stage.jira.fail(r"GET .*/myself$", *(Fault("answer", 503) for _ in range(50)))
        await stage.start_bot()
        written = stage.jira.write("ECD-1", "agent", "Is anybody looking at this?")
        mine = stage.jira.comment_payload("comment_created", stage.jira.issues["ECD-1"], written)
        assert (await stage.jira.deliver(mine, retries=0)).status == 200
