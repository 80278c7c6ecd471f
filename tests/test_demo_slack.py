"""The Slack stand-in against Slack's own clients: what slack_sdk and slack_bolt get is what Slack would give them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from bot.demo.slack.limits import REPORTED, check_message, check_view
from bot.demo.slack.people import (
    APPROVALS,
    BOT_USER,
    DANA,
    DORA,
    FINN,
    GENERAL,
    GUS,
    LENA,
    PM_GROUP,
    PRIYA,
    ROBO,
    SAM,
)  # fmt: skip
from bot.demo.slack.stand_in import ClientRefusedError, SlackStandIn
from bot.demo.wire import Server


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text}


def button(text: str, action_id: str = "", **more: Any) -> dict[str, Any]:
    return {"type": "button", "text": plain(text), "action_id": action_id or text.lower(), **more}


def section(text: str = "ECD-142 is waiting") -> dict[str, Any]:
    return {"type": "rich_text", "elements": [
        {"type": "rich_text_section", "elements": [{"type": "text", "text": text}]}]}  # fmt: skip


CARD = [section(), {"type": "actions", "elements": [button("Approve", value="7"), button("Edit"), button("Skip")]}]
MODAL = {
    "type": "modal", "callback_id": "edit", "title": plain("Edit"), "submit": plain("Approve"),
    "blocks": [{"type": "input", "block_id": "text", "label": plain("Reply"),
                "element": {"type": "plain_text_input", "action_id": "reply", "multiline": True,
                            "initial_value": "Hi Ben"}}],
}  # fmt: skip


class Workspace:
    """The stand-in on a real port, and a client with the bot's token."""

    def __init__(self, slack: SlackStandIn, client: AsyncWebClient) -> None:
        self.slack, self.client = slack, client

    async def refusal(self, method: str, **arguments: Any) -> str:
        with pytest.raises(SlackApiError) as caught:
            await getattr(self.client, method)(**arguments)
        return str(caught.value.response["error"])

    async def post(self, **more: Any) -> str:
        answer = await self.client.chat_postMessage(channel=APPROVALS, text="A draft", blocks=CARD, **more)
        return str(answer["ts"])


@pytest.fixture
async def place() -> AsyncIterator[Workspace]:
    slack, server = SlackStandIn(), Server()
    server.mount("/slack/", slack.application())
    await server.start()
    slack.base = f"{server.url}/slack"
    async with aiohttp.ClientSession() as session:
        yield Workspace(slack, AsyncWebClient(slack.bot_token, base_url=f"{slack.base}/api/", session=session))
    await slack.close()
    await server.stop()


@pytest.fixture
async def app(place: Workspace) -> AsyncIterator[AsyncApp]:
    """A small Bolt app over Socket Mode: Approve updates, Edit opens a modal, Skip never acknowledges."""
    bolt = AsyncApp(client=place.client)

    @bolt.action("approve")
    async def approve(ack: Any, body: Any, client: Any, respond: Any) -> None:
        await ack()
        await client.chat_update(channel=APPROVALS, ts=body["message"]["ts"], text="Posted", blocks=[section("Posted")])
        await respond(text="Thank you", replace_original=False)

    @bolt.action("edit")
    async def edit(ack: Any, body: Any, client: Any) -> None:
        await ack()
        await client.views_open(trigger_id=body["trigger_id"], view=MODAL)

    @bolt.action("skip")
    async def skip(ack: Any) -> None:
        await asyncio.sleep(0)

    @bolt.view("edit")
    async def submitted(ack: Any, view: Any) -> None:
        text = view["state"]["values"]["text"]["reply"]["value"]
        if text == "too late":
            await ack(response_action="update", view={**MODAL, "title": plain("Too late")})
        elif text == "no":
            await ack(response_action="errors", errors={"text": "Say more"})
        else:
            await ack()

    @bolt.command("/pmagent")
    async def command(ack: Any, respond: Any, command: Any) -> None:
        await ack()
        await respond(f"heard {command['text']} from {command['user_name']}")

    handler = AsyncSocketModeHandler(bolt, place.slack.app_token)
    handler.client.ping_interval = 0.2
    await handler.connect_async()
    await place.slack.connected()
    yield bolt
    await handler.close_async()


# The Web API


async def test_auth_test_names_the_bot_and_its_scopes(place: Workspace) -> None:
    answer = await place.client.auth_test()
    assert (answer["user_id"], answer["team_id"]) == (BOT_USER, "T0HOME0001")
    assert "chat:write" in answer.headers["x-oauth-scopes"]


async def test_tokens_are_checked(place: Workspace) -> None:
    api = f"{place.slack.base}/api/"
    app_level = AsyncWebClient(place.slack.app_token, base_url=api)
    for client, error in (
        (AsyncWebClient("xoxb-wrong", base_url=api), "invalid_auth"),
        (AsyncWebClient(base_url=api), "not_authed"),
        (app_level, "not_allowed_token_type"),
    ):
        with pytest.raises(SlackApiError, match=error):
            await client.auth_test()
    place.slack.scopes.remove("chat:write")
    assert await place.refusal("chat_postMessage", channel=APPROVALS, text="x") == "missing_scope"


async def test_where_a_message_may_go(place: Workspace) -> None:
    assert await place.refusal("chat_postMessage", channel="C0NOWHERE1", text="x") == "channel_not_found"
    assert await place.refusal("chat_postMessage", channel=GENERAL, text="x") == "not_in_channel"
    # Not through chat_postMessage: the SDK warns about a missing text before it sends.
    assert await place.refusal("api_call", api_method="chat.postMessage", json={"channel": APPROVALS}) == "no_text"
    assert await place.refusal("chat_postMessage", channel=APPROVALS, text="x" * 40_001) == "msg_too_long"
    assert await place.refusal("chat_update", channel=APPROVALS, ts="1.2", text="x") == "message_not_found"
    assert await place.refusal("chat_postEphemeral", channel=APPROVALS, user=LENA, text="x") == "user_not_in_channel"


async def test_json_is_read_where_slack_reads_it_and_nowhere_else(place: Workspace) -> None:
    headers = {"Authorization": f"Bearer {place.slack.bot_token}"}
    url = f"{place.slack.base}/api/users.info"
    async with aiohttp.ClientSession(headers=headers) as session:
        async with session.post(url, json={"user": DANA}) as answer:
            assert (await answer.json())["error"] == "user_not_found"
        async with session.post(url, data={"user": DANA}) as answer:
            assert (await answer.json())["user"]["real_name"] == "Dana Petrova"
        url = f"{place.slack.base}/api/chat.postMessage"
        async with session.post(url, data={"channel": APPROVALS, "blocks": json.dumps(CARD)}) as answer:
            assert (await answer.json())["ok"]
        async with session.post(url, data=b"{", headers={"Content-Type": "application/json"}) as answer:
            assert (await answer.json())["error"] == "invalid_json"
        async with session.post(f"{place.slack.base}/api/chat.dance") as answer:
            assert (await answer.json())["error"] == "unknown_method"


async def test_an_update_without_blocks_takes_them_away_and_keeps_the_metadata(place: Workspace) -> None:
    ts = await place.post(metadata={"event_type": "pmagent_draft", "event_payload": {"draft_id": "d1"}})
    card = await place.slack.card("ECD-142")
    assert card.buttons == ["Approve", "Edit", "Skip"]
    await place.client.chat_update(channel=APPROVALS, ts=ts, text="Gone")
    assert card.blocks == []
    assert card.metadata["event_payload"] == {"draft_id": "d1"}
    assert await place.refusal("chat_update", channel=APPROVALS, ts=ts, text="x" * 4001) == "msg_too_long"


async def test_history_gives_metadata_only_when_asked(place: Workspace) -> None:
    ts = [await place.post(metadata={"event_type": "pmagent_draft", "event_payload": {"n": n}}) for n in range(3)]
    bare = await place.client.conversations_history(channel=APPROVALS)
    assert [m["ts"] for m in bare["messages"]] == ts[::-1]
    assert not any("metadata" in m for m in bare["messages"])
    page = await place.client.conversations_history(
        channel=APPROVALS, include_all_metadata=True, limit=1, oldest=ts[0], inclusive=True
    )
    assert page["messages"][0]["metadata"]["event_payload"] == {"n": 2}
    rest = await place.client.conversations_history(
        channel=APPROVALS, include_all_metadata=True, cursor=page["response_metadata"]["next_cursor"]
    )
    assert [m["metadata"]["event_payload"]["n"] for m in rest["messages"]] == [1, 0]
    assert await place.refusal("conversations_history", channel=GENERAL) == "not_in_channel"


async def test_people_of_every_standing(place: Workspace) -> None:
    async def info(user: str) -> dict[str, Any]:
        return dict((await place.client.users_info(user=user))["user"])

    assert (await info(DANA))["is_restricted"] is False
    assert (await info(GUS))["is_restricted"] is True
    assert (await info(ROBO))["is_bot"] is True
    assert (await info(DORA))["deleted"] is True
    assert (await info(FINN))["is_stranger"] is True
    assert (await info(FINN))["team_id"] != (await info(DANA))["team_id"]
    assert (await place.client.usergroups_users_list(usergroup=PM_GROUP))["users"] == [DANA, SAM]
    members = (await place.client.conversations_members(channel=APPROVALS, limit=2))["members"]
    assert members == [BOT_USER, DANA]
    assert (await place.client.conversations_info(channel=APPROVALS))["channel"]["is_private"] is True
    assert await place.refusal("users_info", user="U0NOBODY") == "user_not_found"
    assert await place.refusal("usergroups_users_list", usergroup="S0NONE") == "no_such_subteam"


async def test_posting_too_fast_is_answered_with_429(place: Workspace) -> None:
    posts = (place.client.chat_postMessage(channel=APPROVALS, text="x") for _ in range(30))
    with pytest.raises(SlackApiError) as caught:
        await asyncio.gather(*posts)
    assert caught.value.response.status_code == 429
    assert caught.value.response.headers["Retry-After"] == "1"


async def test_changing_too_fast_is_answered_with_429(place: Workspace) -> None:
    """Whatever the channel: 50 a minute in a workspace, which may come at once."""
    posted = await place.client.chat_postMessage(channel=APPROVALS, text="x")
    changes = (place.client.chat_update(channel=APPROVALS, ts=str(posted["ts"]), text=f"{n}") for n in range(60))
    answers = await asyncio.gather(*changes, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, SlackApiError)]
    assert 8 <= len(refused) <= 10
    assert {error.response.status_code for error in refused} == {429}


# Block Kit

RULE = {"type": "divider"}


def box(**changes: Any) -> dict[str, Any]:
    return {"type": "container", "title": plain("x"), "child_blocks": [RULE], **changes}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"type": "section"}, "missing required field: text [json-pointer:/blocks/0]"),
        ({"type": "section", "text": plain("x" * 3001)}, "must be less than 3001 characters"),
        ({"type": "section", "text": plain("")}, "must be more than 0 characters"),
        ({"type": "section", "text": {"type": "mrkdwn", "text": "x", "emoji": True}}, "additional property: emoji"),
        ({"type": "section", "text": plain("x"), "colour": "red"}, "additional property: colour"),
        ({"type": "section", "fields": [plain("x")] * 11}, "no more than 10 items allowed"),
        ({"type": "header", "text": plain("x" * 151)}, "must be less than 151 characters"),
        ({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}, "must be a valid enum value"),
        ({"type": "context", "elements": []}, "no fewer than 1 items allowed"),
        ({"type": "actions", "elements": [button("x")] * 2}, '`action_id`: "x" already exists'),
        ({"type": "actions", "elements": [button("x" * 76, "a")]}, "must be less than 76 characters"),
        ({"type": "actions", "elements": [button("x", value="v" * 2001)]}, "must be less than 2001 characters"),
        ({"type": "actions", "elements": [button("x", style="loud")]}, "must be a valid enum value: primary, danger"),
        ({"type": "actions", "elements": [plain("x")]}, "unsupported type: plain_text"),
        ({"type": "carousel"}, "unsupported type: carousel"),
        (section(""), "must be more than 0 characters [json-pointer:/blocks/0/elements/0/elements/0/text]"),
        ({"type": "rich_text", "elements": [{"type": "text", "text": "x"}]}, "unsupported type: text"),
        ({"type": "rich_text", "elements": [{"type": "rich_text_list", "elements": []}]}, "field: style"),
        ({"type": "divider", "block_id": "b" * 256}, "must be less than 256 characters"),
        ({"type": "container", "title": plain("x")}, "missing required field: child_blocks"),
        ({"type": "container", "child_blocks": [RULE]}, "missing required field: title"),
        (box(title=plain("x" * 151)), "must be less than 151 characters"),
        (box(subtitle=plain("x" * 151)), "must be less than 151 characters"),
        (box(child_blocks=[]), "no fewer than 1 items allowed"),
        (box(child_blocks=[RULE] * 11), "no more than 10 items allowed"),
        (box(child_blocks=[box()]), "unsupported type: container [json-pointer:/blocks/0/child_blocks/0/type]"),
        (box(child_blocks=[{"type": "header"}]), "field: text [json-pointer:/blocks/0/child_blocks/0]"),
        (box(child_blocks=[RULE | {"block_id": "b"}] * 2), '"b" already exists'),
        (box(width="huge"), "must be a valid enum value: narrow, standard, wide, full"),
        (box(is_collapsible=True, has_header_divider=True), "cannot be set when is_collapsible is true"),
        (box(default_collapsed=True), "requires is_collapsible to be true"),
        ("divider", "must provide an object"),
    ],
)  # fmt: skip
def test_what_slack_would_refuse_is_refused(block: Any, problem: str) -> None:
    assert any(problem in found for found in check_message([block])), check_message([block])


def test_what_slack_takes_is_taken() -> None:
    rich = {"type": "rich_text", "elements": [
        {"type": "rich_text_section", "elements": [
            {"type": "text", "text": "x", "style": {"bold": True}}, {"type": "link", "url": "https://a.example"},
            {"type": "date", "timestamp": 1, "format": "{ago}", "fallback": "then"}]},
        {"type": "rich_text_list", "style": "bullet", "indent": 1, "border": 0, "elements": [
            {"type": "rich_text_section", "elements": [{"type": "emoji", "name": "tada"}]}]},
        {"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "code"}], "border": 0},
        {"type": "rich_text_quote", "elements": [{"type": "text", "text": "quoted"}]},
    ]}  # fmt: skip
    assert check_message([*CARD, rich, {"type": "divider"}, {"type": "header", "text": plain("x")}]) == []
    assert (
        check_message([box(rich_text_title=rich, subtitle=plain("y"), width="full", child_blocks=[rich, RULE])]) == []
    )
    assert check_view(MODAL) == []


def test_a_workspace_takes_in_a_container_what_it_takes() -> None:
    rich = section("x")
    assert check_message([box(child_blocks=[rich])]) == []
    assert "unsupported type: rich_text" in check_message([box(child_blocks=[rich])], REPORTED)[0]
    assert check_message([box()], REPORTED) == []
    assert "unsupported type: container" in check_message([box()], None)[0]


async def test_limits_hold_over_the_wire(place: Workspace) -> None:
    with pytest.raises(SlackApiError) as caught:
        await place.client.chat_postMessage(channel=APPROVALS, text="x", blocks=[{"type": "divider"}] * 51)
    assert caught.value.response["error"] == "invalid_blocks"
    assert "no more than 50 items" in caught.value.response["response_metadata"]["messages"][0]
    twice = [{"type": "divider", "block_id": "same"}] * 2
    assert await place.refusal("chat_postMessage", channel=APPROVALS, text="x", blocks=twice) == "invalid_blocks"
    long = [section("x" * 3000)] * 5
    assert await place.refusal("chat_postMessage", channel=APPROVALS, text="x", blocks=long) == "msg_blocks_too_long"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": plain("x" * 25)}, "must be less than 25 characters [json-pointer:/view/title/text]"),
        ({"private_metadata": "x" * 3001}, "must be less than 3001 characters"),
        ({"blocks": [{"type": "divider"}] * 101}, "no more than 100 items allowed"),
        ({"blocks": [{"type": "markdown", "text": "x"}]}, "unsupported type: markdown"),
        ({"type": "popup"}, "unsupported type: popup"),
        ({"subtitle": plain("x")}, "invalid additional property: subtitle"),
    ],
)
def test_views_have_limits_too(change: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in check_view({**MODAL, **change}))


async def test_a_modal_with_inputs_needs_a_submit_button(place: Workspace) -> None:
    view = {k: v for k, v in MODAL.items() if k != "submit"}
    refused = await place.refusal("views_open", trigger_id=place.slack.trigger(DANA), view=view)
    assert refused == "invalid_arguments"


async def test_a_trigger_serves_once_and_for_three_seconds(place: Workspace) -> None:
    trigger = place.slack.trigger(DANA)
    await place.client.views_open(trigger_id=trigger, view=MODAL)
    assert place.slack.modal(DANA) is not None
    assert await place.refusal("views_open", trigger_id=trigger, view=MODAL) == "exchanged_trigger_id"
    assert await place.refusal("views_open", trigger_id="1.2.3", view=MODAL) == "invalid_trigger_id"
    late = place.slack.trigger(DANA)
    await asyncio.sleep(3.05)
    assert await place.refusal("views_open", trigger_id=late, view=MODAL) == "expired_trigger_id"


async def test_views_update_respects_the_hash_and_publish_fills_the_home_tab(place: Workspace) -> None:
    opened = await place.client.views_open(trigger_id=place.slack.trigger(DANA), view=MODAL)
    view = opened["view"]
    assert await place.refusal("views_update", view_id=view["id"], view=MODAL, hash="0.x") == "hash_conflict"
    await place.client.views_update(view_id=view["id"], view={**MODAL, "title": plain("New")}, hash=view["hash"])
    modal = place.slack.modal(DANA)
    assert modal is not None
    assert (modal.title, modal.text) == ("New", "Hi Ben")
    await place.client.views_publish(user_id=SAM, view={"type": "home", "blocks": [section("At home")]})
    assert place.slack.homes[SAM]["blocks"][0]["type"] == "rich_text"


# Socket Mode


async def test_a_click_is_acknowledged_and_answered_privately(place: Workspace, app: AsyncApp) -> None:
    await place.post()
    card = await place.slack.card("ECD-142")
    before = card.snapshot()
    ack = await place.slack.click(DANA, card, "Approve")
    assert ack.acked
    assert ack.ms < 3000
    await place.slack.changes(card, "Posted")
    assert (await place.slack.whispered(DANA, "Thank you")).words == "Thank you"
    assert card.buttons == []
    assert before.buttons == ["Approve", "Edit", "Skip"]
    assert place.slack.calls("SOCKET /interactive/block_actions")[0].status == 200


async def test_a_click_nobody_acknowledges_shows_a_warning_after_three_seconds(place: Workspace, app: AsyncApp) -> None:
    await place.post()
    ack = await place.slack.click(SAM, await place.slack.card("ECD-142"), "Skip")
    assert (ack.acked, ack.ms, ack.error) == (False, 3000.0, "timeout")


async def test_the_modal_from_open_to_submit(place: Workspace, app: AsyncApp) -> None:
    await place.post()
    card = await place.slack.card("ECD-142")
    await place.slack.click(PRIYA, card, "Edit")
    modal = await place.slack.opened(PRIYA)
    assert modal.text == "Hi Ben"
    with pytest.raises(ClientRefusedError):
        await place.slack.submit(PRIYA, "")
    await place.slack.submit(PRIYA, "no")
    assert modal.errors == {"text": "Say more"}
    assert modal.text == "no"
    await place.slack.submit(PRIYA, "too late")
    assert modal.title == "Too late"
    ack = await place.slack.submit(PRIYA, "Hi Ben, it is in review")
    assert ack.sent["view"]["state"]["values"]["text"]["reply"]["value"] == "Hi Ben, it is in review"
    assert place.slack.modal(PRIYA) is None


async def test_a_command_is_answered_through_its_response_url_five_times(place: Workspace, app: AsyncApp) -> None:
    ack = await place.slack.command(DANA, "/pmagent", "stats 7")
    assert (await place.slack.whispered(DANA)).words == "heard stats 7 from dana"
    async with aiohttp.ClientSession() as session:
        statuses = []
        for _ in range(5):
            async with session.post(ack.sent["response_url"], json={"text": "more"}) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 200, 200, 200, 404]


async def test_the_app_comes_back_after_a_disconnect_and_after_a_cut(place: Workspace, app: AsyncApp) -> None:
    opened = place.slack.connections.opened
    await place.slack.disconnect("refresh_requested")
    await place.slack.until(lambda: place.slack.connections.opened > opened, 10)
    await place.slack.connected()
    opened = place.slack.connections.opened
    await place.slack.connections.cut()
    await place.slack.until(lambda: place.slack.connections.opened > opened, 10)
    assert (await place.slack.command(DANA, "/pmagent", "again")).acked


async def test_a_ticket_opens_one_socket(place: Workspace) -> None:
    client = AsyncWebClient(base_url=f"{place.slack.base}/api/")
    url = str((await client.apps_connections_open(app_token=place.slack.app_token))["url"])
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, autoping=False) as socket:
            hello = await socket.receive_json()
            assert (hello["type"], hello["num_connections"]) == ("hello", 1)
            await socket.ping(b"sdk-ping-pong:1.5")
            pong = await socket.receive()
            assert (pong.type, bytes(pong.data)) == (aiohttp.WSMsgType.PONG, b"sdk-ping-pong:1.5")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(url)


async def test_an_unacknowledged_event_comes_again_in_a_new_envelope(place: Workspace) -> None:
    place.slack.redelivery = (0.05, 0.05, 0.05)
    client = AsyncWebClient(base_url=f"{place.slack.base}/api/")
    url = str((await client.apps_connections_open(app_token=place.slack.app_token))["url"])
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.receive_json()
        home = asyncio.create_task(place.slack.home(DANA))
        first = await socket.receive_json()
        second = await socket.receive_json(timeout=5)
        await socket.send_json({"envelope_id": second["envelope_id"]})
        await home
        assert (first["retry_attempt"], second["retry_attempt"]) == (0, 1)
        assert first["envelope_id"] != second["envelope_id"]
        assert first["payload"]["event_id"] == second["payload"]["event_id"]
        await asyncio.sleep(0.3)
        assert len(place.slack.calls("SOCKET /events_api")) == 2


async def test_without_a_socket_the_user_is_told_at_once(place: Workspace) -> None:
    ack = await place.slack.command(DANA, "/pmagent", "help")
    assert (ack.acked, ack.error) == (False, "not connected")


# HTTP mode


async def test_over_http_everything_is_signed_as_slack_signs(place: Workspace) -> None:
    heard: list[tuple[bool, str]] = []
    verifier = SignatureVerifier(place.slack.signing_secret)

    async def webhook(request: web.Request) -> web.Response:
        body = await request.read()
        heard.append((verifier.is_valid_request(body, dict(request.headers)), request.content_type))
        return web.json_response({"text": "heard"})

    program = web.Application()
    program.router.add_post("/webhooks/slack", webhook)
    server = Server()
    server.mount("/app/", program)
    await server.start()
    await place.post()
    url = f"{server.url}/app/webhooks/slack"
    card = await place.slack.card("ECD-142")
    assert (await place.slack.click(DANA, card, "Approve", over_http=url)).acked
    place.slack.http_target = url
    await place.slack.command(DANA, "/pmagent", "help")
    await place.slack.home(DANA)
    await server.stop()
    form = "application/x-www-form-urlencoded"
    assert heard == [(True, form), (True, form), (True, "application/json")]
    assert place.slack.whispers(DANA)[0].words == "heard"
