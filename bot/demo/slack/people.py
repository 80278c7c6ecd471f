"""Who and what is in the stand-in's Slack workspace: people of every standing, channels, messages, views.

Everything here is plain data; `stand_in` moves it and `api` shows it to the program.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, Self

from bot.demo.slack.limits import walk

HOME_TEAM = "T0HOME0001"
FOREIGN_TEAM = "T0OTHER001"


@dataclass
class Member:
    """A person (or bot) as `users.info` shows them. Change the flags and the program sees it at its next look-up."""

    id: str
    name: str
    handle: str
    title: str = ""
    team_id: str = HOME_TEAM
    deleted: bool = False
    is_bot: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    is_stranger: bool = False
    is_admin: bool = False

    def as_json(self) -> dict[str, Any]:
        user: dict[str, Any] = {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.handle,
            "deleted": self.deleted,
            "real_name": self.name,
            "tz": "Europe/Berlin",
            "tz_label": "Central European Time",
            "tz_offset": 3600,
            "profile": {
                "real_name": self.name,
                "real_name_normalized": self.name,
                "display_name": self.handle,
                "display_name_normalized": self.handle,
                "title": self.title,
                "team": self.team_id,
            },
            "is_bot": self.is_bot,
            "is_app_user": False,
            "updated": 1760000000,
        }
        if not self.deleted:
            user |= {
                "is_admin": self.is_admin,
                "is_owner": False,
                "is_primary_owner": False,
                "is_restricted": self.is_restricted,
                "is_ultra_restricted": self.is_ultra_restricted,
            }
        if self.is_stranger:
            user["is_stranger"] = True
        return user


DANA, SAM, PRIYA, OLGA, LENA = "U0DANA0001", "U0SAM00001", "U0PRIYA001", "U0OLGA0001", "U0LENA0001"
GUS, ROBO, DORA, FINN = "U0GUS00001", "U0ROBO0001", "U0DORA0001", "U0FINN0001"
BOT_USER, BOT_ID, APP_ID = "U0PMAGENT1", "B0PMAGENT1", "A0PMAGENT1"
APPROVALS, STANDUP, GENERAL, PM_GROUP = "C0APPROVE1", "C0STANDUP1", "C0GENERAL1", "S0PMGROUP1"


def everybody() -> dict[str, Member]:
    """One of each kind: approvers, a colleague who may not decide, an admin, an outsider, and those who never may."""
    members = (
        Member(DANA, "Dana Petrova", "dana", "Product manager"),
        Member(SAM, "Sam Whitfield", "sam", "Delivery lead"),
        Member(PRIYA, "Priya Nair", "priya", "Engineer"),
        Member(OLGA, "Olga Lindt", "olga", "Workspace admin", is_admin=True),
        Member(LENA, "Lena Hofer", "lena", "Designer, not in the approvals channel"),
        Member(GUS, "Gus Ferro", "gus", "Guest", is_restricted=True),
        Member(ROBO, "Robo Build", "robo", "A bot", is_bot=True),
        Member(DORA, "Dora Klein", "dora", "Left in May", deleted=True),
        Member(FINN, "Finn Aalto", "finn", "Partner, Slack Connect", team_id=FOREIGN_TEAM, is_stranger=True),
        Member(BOT_USER, "PM Agent", "pmagent", is_bot=True),
    )
    return {member.id: member for member in members}


@dataclass
class Channel:
    """A channel as `conversations.info` shows it; `members` are user ids."""

    id: str
    name: str
    is_private: bool = False
    is_archived: bool = False
    is_shared: bool = False
    members: list[str] = field(default_factory=list)

    def as_json(self, viewer: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": self.id == GENERAL,
            "is_shared": self.is_shared,
            "is_ext_shared": self.is_shared,
            "is_org_shared": False,
            "is_member": viewer in self.members,
            "context_team_id": HOME_TEAM,
            "created": 1760000000,
            "creator": OLGA,
            "num_members": len(self.members),
        }


def channels() -> dict[str, Channel]:
    """The private approvals channel, the standup channel, and one that the bot is not in."""
    inside = [BOT_USER, DANA, SAM, PRIYA, OLGA, GUS]
    found = (
        Channel(APPROVALS, "pm-approvals", is_private=True, members=list(inside)),
        Channel(STANDUP, "team-standup", members=[*inside, LENA]),
        Channel(GENERAL, "general", members=[DANA, SAM, PRIYA, OLGA, LENA]),
    )
    return {channel.id: channel for channel in found}


@dataclass
class Message:
    """A message as it stands now. `payload` is Slack's JSON for it; `versions` are its earlier payloads, oldest first.

    A `Message` that a verb returned is live: it changes when the program updates it. `snapshot()` does not.
    """

    channel: str
    payload: dict[str, Any]
    unfurl_links: bool | None = None
    unfurl_media: bool | None = None
    versions: list[dict[str, Any]] = field(default_factory=list)
    deleted: bool = False

    @property
    def ts(self) -> str:
        return str(self.payload["ts"])

    @property
    def text(self) -> str:
        return str(self.payload.get("text", ""))

    @property
    def blocks(self) -> list[dict[str, Any]]:
        return list(self.payload.get("blocks") or [])

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.payload.get("metadata") or {})

    @property
    def buttons(self) -> list[str]:
        """The texts of its buttons, in order."""
        return [b["text"]["text"] for b in walk(self.blocks) if b.get("type") == "button"]

    @property
    def words(self) -> str:
        """Everything a reader sees, in reading order: one line per block or list item."""
        return words(self.blocks) or self.text

    @property
    def links(self) -> list[str]:
        """The addresses behind its links and link buttons."""
        return [x["url"] for x in walk(self.blocks) if isinstance(x.get("url"), str)]

    def button(self, text: str) -> dict[str, Any]:
        """The button with this text (or action id). LookupError names the buttons that there are."""
        for block in self.blocks:
            for item in walk(block):
                if item.get("type") == "button" and text in (item["text"]["text"], item.get("action_id")):
                    return {**item, "block_id": block["block_id"]}
        raise LookupError(f"no button {text!r}; there are {self.buttons}")

    def snapshot(self) -> Self:
        """This message as it stands now, for a click on a card that has changed since."""
        return copy.deepcopy(self)


@dataclass
class Whisper:
    """A private message ("Only visible to you"): an ephemeral one, or an answer through a response_url."""

    user: str
    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    deleted: bool = False

    @property
    def words(self) -> str:
        """Everything a reader sees, in reading order."""
        return words(self.blocks) or self.text

    @property
    def message(self) -> Message:
        """As something that can be clicked."""
        payload = {"type": "message", "ts": self.ts, "text": self.text, "blocks": self.blocks, "is_ephemeral": True}
        return Message(self.channel, payload)


@dataclass
class Modal:
    """A view that is open on somebody's screen. `view` is Slack's JSON for it, `errors` stand below its inputs."""

    user: str
    view: dict[str, Any]
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.view["id"])

    @property
    def title(self) -> str:
        return str(self.view.get("title", {}).get("text", ""))

    @property
    def words(self) -> str:
        """Everything a reader sees, without what stands in its inputs."""
        return words(self.view.get("blocks") or [])

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Its input blocks."""
        return [b for b in self.view.get("blocks") or [] if b.get("type") == "input"]

    @property
    def text(self) -> str:
        """What stands in its first text input."""
        return str(self.inputs[0]["element"].get("initial_value") or "") if self.inputs else ""


def words(blocks: list[dict[str, Any]]) -> str:
    """The visible words of blocks. Links count as their text, mentions as their id."""
    lines: list[str] = []
    for block in blocks:
        lines += _lines(block)
    return "\n".join(line for line in lines if line)


_LINE = frozenset({"rich_text_section", "rich_text_quote", "rich_text_preformatted"})


def _lines(value: Any) -> list[str]:
    if isinstance(value, list):
        return [line for item in value for line in _lines(item)]
    if not isinstance(value, dict):
        return []
    kind = value.get("type")
    if kind in _LINE:
        return ["".join(_inline(item) for item in value["elements"])]
    if kind in ("plain_text", "mrkdwn", "markdown", "raw_text"):
        return [str(value["text"])]
    found: list[str] = []
    for name, inner in value.items():
        if name not in ("confirm", "placeholder", "value", "element"):
            found += _lines(inner)
    return found


def _inline(item: dict[str, Any]) -> str:
    names = {"emoji": ":{name}:", "user": "<@{user_id}>", "usergroup": "<!subteam^{usergroup_id}>",
             "channel": "<#{channel_id}>", "broadcast": "<!{range}>"}  # fmt: skip
    if item["type"] in names:
        return names[item["type"]].format(**item)
    return str(item.get("text") or item.get("fallback") or item.get("url") or "")
