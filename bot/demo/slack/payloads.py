"""What Slack tells the program when somebody does something: the payloads, as Slack fills them in.

Each verb of `stand_in` sends one of these. A test that plays a forger builds one and changes it before it is sent
(`SlackStandIn.send`).
"""

from __future__ import annotations

import copy
import secrets
import time

from bot.demo.slack.people import APP_ID, BOT_USER, HOME_TEAM, Message, Modal, Whisper
from bot.demo.slack.rules import Json
from bot.demo.slack.state import Workspace

_KEPT = ("action_id", "block_id", "text", "value", "type", "style", "url")


class Payloads(Workspace):
    """A workspace that can say what happened in it."""

    def pressed(self, user: str, message: Message | Whisper, button: str) -> Json:
        """`block_actions`: a button of a message, by its text or action id. An ephemeral message is not in it."""
        if isinstance(message, Whisper):
            message = message.message
        ephemeral = bool(message.payload.get("is_ephemeral"))
        found = message.button(button)
        channel = self.channels[message.channel]
        payload = {
            "type": "block_actions", **self._interaction(user),
            "container": {"type": "message", "message_ts": message.ts, "channel_id": channel.id,
                          "is_ephemeral": ephemeral},
            "trigger_id": self.trigger(user),
            "channel": {"id": channel.id, "name": "privategroup" if channel.is_private else channel.name},
            "state": {"values": {}}, "response_url": self._response_url(user, channel.id, message),
            "actions": [{k: found[k] for k in _KEPT if k in found} | {"action_ts": f"{time.time():.6f}"}],
        }  # fmt: skip
        if not ephemeral:
            payload["message"] = {k: v for k, v in message.payload.items() if k != "metadata"}
        return payload

    def submitted(self, user: str, modal: Modal) -> Json:
        """`view_submission`: a modal as it stands on the screen."""
        return {
            "type": "view_submission", **self._interaction(user), "trigger_id": self.trigger(user),
            "view": copy.deepcopy(modal.view), "response_urls": [],
        }  # fmt: skip

    def closed(self, user: str, modal: Modal) -> Json:
        """`view_closed`: a modal that asked for it was dismissed."""
        return {
            "type": "view_closed", **self._interaction(user), "view": copy.deepcopy(modal.view), "is_cleared": False,
        }  # fmt: skip

    def commanded(self, user: str, command: str, text: str, channel: str | None = None) -> Json:
        """A slash command: flat, because Slack sends it as a form."""
        where = self.channels[channel or self.approvals_channel]
        return {
            "token": "demo", "team_id": HOME_TEAM, "team_domain": "pmagent-demo", "channel_id": where.id,
            "channel_name": "privategroup" if where.is_private else where.name,
            "user_id": user, "user_name": self.people[user].handle, "command": command, "text": text,
            "api_app_id": APP_ID, "is_enterprise_install": "false",
            "response_url": self._response_url(user, where.id, None), "trigger_id": self.trigger(user),
        }  # fmt: skip

    def happened(self, event: Json) -> Json:
        """`event_callback`: the envelope of the Events API around an event."""
        return {
            "token": "demo", "team_id": HOME_TEAM, "api_app_id": APP_ID, "event": event, "type": "event_callback",
            "event_id": "Ev" + secrets.token_hex(5).upper(), "event_time": int(time.time()),
            "authorizations": [{"enterprise_id": None, "team_id": HOME_TEAM, "user_id": BOT_USER, "is_bot": True,
                                "is_enterprise_install": False}],
            "is_ext_shared_channel": False,
        }  # fmt: skip

    def _interaction(self, user: str) -> Json:
        """What every interaction says: who (their own organisation stands in `team_id`), where, and by which app."""
        member = self.people[user]
        return {
            "user": {"id": user, "username": member.handle, "name": member.handle, "team_id": member.team_id},
            "team": {"id": HOME_TEAM, "domain": "pmagent-demo"},
            "api_app_id": APP_ID, "token": "demo", "enterprise": None, "is_enterprise_install": False,
        }  # fmt: skip
