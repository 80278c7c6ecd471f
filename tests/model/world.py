"""Everything that can happen to the program. Each deed takes plain numbers and finds something to do with them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import signal
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import aiohttp

from bot.demo.hooks import signature
from bot.demo.jira import world as jira_world
from bot.demo.jira.world import JiraComment
from bot.demo.process import Bot
from bot.demo.slack.people import DANA, GUS, PRIYA, SAM, Message, words
from bot.demo.slack.stand_in import ClientRefusedError
from bot.demo.slack.state import Bucket
from bot.demo.stage import Stage
from bot.demo.wire import PATIENCE, Fault
from tests import warm
from tests.model.books import Books
from tests.model.reins import Reins
from tests.model.wires import Wires
from tests.model.writer import Writer, shown_reply, tokens

APPROVERS = (DANA, SAM)
KEYS = ("ECD-1", "ECD-2", "ECD-3", "ECD-4", "SUP-1")
APPROVING = {"Approve", "Post anyway", "Retry", "Post again"}
POST = r"POST .*/issue/[^/]+/comment$"
READ = r"GET .*/rest/api/3/issue/[^/]+(\?|$)"
FAULTS = (
    ("jira", POST, Fault("swallow")),
    ("jira", POST, Fault("drop")),
    ("jira", POST, Fault("answer", 429, {"Retry-After": "2"})),
    ("jira", POST, Fault("answer", 403, body={"errorMessages": ["No."]})),
    ("jira", POST, Fault("answer", 500)),
    ("jira", READ, Fault("hang", seconds=0.3)),
    ("jira", READ, Fault("answer", 503)),
    ("jira", r"DELETE ", Fault("answer", 503)),
    ("jira", r"DELETE ", Fault("swallow")),
    ("claude", r"POST ", Fault("answer", 529)),
    ("claude", r"POST ", Fault("swallow")),
    ("claude", r"POST ", Fault("hang", seconds=0.3)),
    ("slack", r"chat.postMessage", Fault("swallow")),
    ("slack", r"chat.postMessage", Fault("answer", 500)),
    ("slack", r"chat.update", Fault("swallow")),
)
COMMANDS = ("mode simulation", "mode production", "pause", "pause 1m", "resume", "draft ECD-1", "draft SUP-1",
            "pending", "why ECD-1", "health", "stats")  # fmt: skip
CHANGES = (("status", "Done"), ("status", "In Review"), ("assignee", "chen"), ("assignee", "ana"))
JUMPS = (0.0, 90.0, 660.0, 3700.0, 86_400.0, -3700.0, -86_400.0, 8 * 86_400.0)


@dataclass
class Sent:
    """A delivery that was made. `ahead`: how far the program's clock was off when it was answered."""

    path: str
    body: bytes
    headers: dict[str, str]
    status: int = 0
    event_id: str = ""
    ahead: float = 0.0


@dataclass(frozen=True)
class Wish:
    """Somebody's click that approves: who, on which draft, and the words that they saw or typed."""

    user: str
    draft_id: str
    words: tuple[str, ...]


class World:
    """The stage with the program in reins on it. `events`: ids that were answered 202; `keys`: the issues.

    `url`: of a database; with one there may be several `processes`.
    """

    def __init__(self, keys: tuple[str, ...] = KEYS, url: str = "", processes: int = 1) -> None:
        self.keys = keys
        self.url = url
        self.processes = processes
        self.folder = Path(tempfile.mkdtemp(prefix="model-"))
        self.stage = Stage(folder=self.folder, starter=warm.start)
        self.stage.claude = self.claude = Writer()
        self.stage.program = "tests.model.program"
        self.reins = Reins(self.folder)
        self.books = Books(self.stage.data, url)
        self.wires = Wires(self.books, "production")
        self.events: dict[str, Sent] = {}
        self.sent: list[Sent] = []
        self.unanswered: list[Sent] = []
        self.wishes: list[Wish] = []
        self.told: list[str] = []
        self.crashes = self.restarts = self.repeated = 0
        self.budget = 10.0
        self.failpoint = ""
        self.pausing = False
        """Whether those who make a load are to come to an end."""
        self._numbers = itertools.count(1)
        self._turns = itertools.count()
        self._session: aiohttp.ClientSession | None = None
        self._opened: dict[str, tuple[str, float]] = {}

    async def open(self, budget: float = 10.0) -> Self:
        await self.stage.open()
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20))
        self.budget = budget
        self.stage.env |= {
            **self.reins.environment,
            "JIRA_AUTOMATION_TOKEN": uuid.uuid4().hex,
            "PMAGENT_DAILY_BUDGET_USD": str(budget),
            **({"PMAGENT_DATABASE_URL": self.url} if self.url else {}),
        }
        slack, jira = self.stage.slack, self.stage.jira
        jira.retry_wait = 0.05
        for channel in slack.channels:  # in quickened time the program keeps Slack's pace; by ours it seems hasty
            slack.buckets[channel] = Bucket(burst=1e9, left=1e9)
        for key in self.keys:
            jira.issue(key, f"Export {key} fails", status="In Progress", assignee="ana", reporter="ben")
        jira.listeners.append(self.wires.saw)
        await self.stage.start_bot()
        await self._others_up()
        return self

    async def close(self) -> None:
        if self._session:
            await self._session.close()
        await self.stage.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def say(self, words: str) -> None:
        self.told.append(words)

    # The process

    @property
    def bots(self) -> list[Bot]:
        """The processes that live."""
        return [bot for bot in (self.stage.bot, *self.stage.others) if bot is not None and bot.returncode is None]

    @property
    def alive(self) -> bool:
        return bool(self.bots)

    async def up(self) -> None:
        """Whatever ended the program, it is started again; what got no answer is sent again, as Jira would."""
        if self.stage.bot is None or self.stage.bot.returncode is not None:
            if self.stage.bot is not None:
                self._ended(await self.stage.ended())
            self.failpoint = ""
            self.restarts += 1
            await self.stage.start_bot(PMAGENT_DAILY_BUDGET_USD=str(self.budget))
        await self._others_up()
        again, self.unanswered = self.unanswered, []
        self.repeated += len(again)
        for sent in again:
            await self._deliver(sent)

    async def _others_up(self) -> None:
        for dead in [bot for bot in self.stage.others if bot.returncode is not None]:
            self.stage.others.remove(dead)
            self._ended(await dead.ended())
            self.restarts += 1
        missing = self.processes - 1 - len(self.stage.others)
        await asyncio.gather(
            *(self.stage.start_other(PMAGENT_DAILY_BUDGET_USD=str(self.budget)) for _ in range(missing))
        )

    def _ended(self, code: int) -> None:
        assert code in (-signal.SIGKILL, 0), f"the program ended with {code}:\n{self.stage.log[-3000:]}"
        self.crashes += code != 0
        self.say(f"-- ended with {code} {self.failpoint}")

    async def stop(self) -> None:
        """End all of it in order."""
        codes = [await self.stage.stop_bot(), *[await other.stop() for other in self.stage.others]]
        assert not any(codes), f"SIGTERM ended them with {codes}"
        self.stage.others.clear()

    async def unless_dead(self, work: Any) -> Any:
        """Its result; None when the program died first: nobody waits three seconds for what cannot come."""
        task = asyncio.ensure_future(work)
        while not task.done() and self.alive:
            await asyncio.wait({task}, timeout=0.02)
        if not task.done():
            await asyncio.wait({task}, timeout=0.02)
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return None
        return task.result()

    async def kill(self, how: int, moment: int, *, all_at_once: bool = False) -> None:
        """−9 or SIGTERM, at once or in a moment, in the middle of whatever is going on; one process, or all."""
        await asyncio.sleep((0.0, 0.01, 0.03, 0.06)[moment % 4])
        if not self.alive:
            return
        number = signal.SIGTERM if how % 4 == 0 else signal.SIGKILL
        self.say(f"kill {number.name}{' of all' if all_at_once else ''}")
        victims = self.bots if all_at_once else [self.bots[how // 4 % len(self.bots)]]
        for bot in victims:
            with contextlib.suppress(ProcessLookupError):
                bot.send_signal(number)
        for bot in victims:
            if bot is self.stage.bot:
                code = await self.stage.ended()
            else:
                self.stage.others.remove(bot)
                code = await bot.ended()
            assert code in (0, -signal.SIGKILL)
            self.crashes += code != 0

    async def arm(self, name: str) -> None:
        if self.alive and await self.reins.arm(name):
            self.failpoint = name
            self.say(f"armed {name}")

    async def shift(self, which: int) -> None:
        seconds = JUMPS[which % len(JUMPS)]
        self.say(f"clock {seconds:+.0f}")
        self.reins.shift(seconds)

    async def fault(self, which: int) -> None:
        """Something goes wrong outside, once."""
        service, pattern, found = FAULTS[which % len(FAULTS)]
        self.say(f"fault {service} {found.kind} {found.status if found.kind == 'answer' else ''}")
        getattr(self.stage, service).fail(pattern, found)

    # Jira and Bitbucket

    def _words(self, kind: int) -> str:
        number = next(self._numbers)
        what = ("Is this done?", "Is this done?", "Any news?", "Thanks, great.", "Please refuse this?", "Is it long?")
        return f"Comment c{number}: {what[kind % len(what)]}"

    def _written(self, key: int, kind: int) -> tuple[str, JiraComment]:
        name = self.keys[key % len(self.keys)]
        who = "mira" if name.startswith("SUP") else ("ben", "chen", "ana", "robot")[key // len(self.keys) % 4]
        return name, self.stage.jira.write(name, who, self._words(kind))

    def _payload(self, event: str, key: str, comment: JiraComment) -> bytes:
        return json.dumps(self.stage.jira.comment_payload(event, self.stage.jira.issues[key], comment)).encode()

    async def comment(self, key: int, kind: int) -> Sent:
        """Somebody writes a comment."""
        name, written = self._written(key, kind)
        self.say(f"comment {name}/{written.id}: {written.text}")
        return await self.deliver(self._payload("comment_created", name, written))

    async def crowd(self, key: int, kind: int) -> None:
        """Several comments at once, announced side by side."""
        found = [self._written(key, kind + n) for n in range(3)]
        self.say(f"crowd {[(name, c.id) for name, c in found]}")
        bodies = [self._payload("comment_created", name, c) for name, c in found]
        await asyncio.gather(*(self.deliver(body) for body in bodies))

    async def out_of_order(self, key: int, kind: int) -> None:
        """An edit before its original, a deletion before what was deleted, or an edit of an older comment."""
        jira = self.stage.jira
        name, written = self._written(key, kind)
        first = self._payload("comment_created", name, written)
        if kind % 2:
            written.text += f" Edit {next(self._numbers)}?"
            written.body, written.updated = _adf(written.text), jira_world.now()
            second = self._payload("comment_updated", name, written)
        else:
            jira.issues[name].comments.remove(written)
            second = self._payload("comment_deleted", name, written)
        self.say(f"out of order {name}/{written.id}: {'edit' if kind % 2 else 'delete'} first")
        await self.deliver(second)
        await self.deliver(first)

    async def edit(self, pick: int, kind: int) -> None:
        """Somebody edits (or removes) an earlier comment."""
        jira = self.stage.jira
        found = [(k, c) for k in self.keys for c in jira.comments(k) if c.author.account_id != jira.account_id]
        if not found:
            return
        key, written = found[pick % len(found)]
        if kind % 3 == 0:
            jira.issues[key].comments.remove(written)
            self.say(f"delete {key}/{written.id}")
            await self.deliver(self._payload("comment_deleted", key, written))
            return
        written.text = self._words(kind) if kind % 3 == 1 else f"{written.text}."
        written.body, written.updated = _adf(written.text), jira_world.now()
        self.say(f"edit {key}/{written.id}: {written.text}")
        await self.deliver(self._payload("comment_updated", key, written))

    async def change(self, key: int, what: int) -> None:
        """The issue moves on, or somebody else has it now; sometimes nobody is told."""
        name = self.keys[key % len(self.keys)]
        field, value = CHANGES[what % 4]
        self.say(f"change {name} {field} {value}")
        await self.stage.jira.change(name, field, value, announce=False)
        issue = self.stage.jira.issues[name]
        body = {
            "timestamp": int(time.time() * 1000), "webhookEvent": "jira:issue_updated",
            "issue_event_type_name": "issue_generic", "user": issue.history[-1]["author"].shape(self.stage.jira.base),
            "issue": {"id": issue.id, "key": name, "fields": issue.fields(self.stage.jira.base, wiki=True)},
            "changelog": {"id": issue.history[-1]["id"], "items": issue.history[-1]["items"]},
        }  # fmt: skip
        if what % 3:
            await self.deliver(json.dumps(body).encode())

    async def ask_by_rule(self, key: int) -> None:
        """A Jira Automation rule asks for a draft."""
        name = self.keys[key % len(self.keys)]
        self.say(f"automation {name}")
        body = json.dumps({"issue": name, "id": uuid.uuid4().hex}).encode()
        headers = {"X-PMAgent-Token": self.stage.env["JIRA_AUTOMATION_TOKEN"]}
        await self._deliver(Sent("/webhooks/jira", body, headers))

    async def push(self, key: int) -> None:
        """Bitbucket tells of a pull request: context only."""
        title = f"{self.keys[key % len(self.keys)]} Part {next(self._numbers)}"
        self.say(f"pull request {title}")
        await self.unless_dead(self.stage.bitbucket.open(title))

    async def again(self, pick: int, how: int) -> None:
        """A delivery comes again: the same, its body under a new id, or its comment by another announcement."""
        known = [s for s in self.sent if s.path == "/webhooks/jira"]
        if not known:
            return
        old = known[-1 - pick % min(len(known), 12)]
        if how % 3 == 2:
            payload = json.loads(old.body)
            if payload.get("webhookEvent") != "comment_created":
                return
            payload |= {"webhookEvent": "jira:issue_updated", "issue_event_type_name": "issue_commented",
                        "user": payload["comment"]["author"], "timestamp": payload["timestamp"] + 1}  # fmt: skip
            self.say(f"again, otherwise: {payload['comment']['id']}")
            await self.deliver(json.dumps(payload).encode())
            return
        headers = dict(old.headers)
        if how % 3 == 1 and "X-Atlassian-Webhook-Identifier" in headers:
            headers["X-Atlassian-Webhook-Identifier"] = uuid.uuid4().hex
        self.say(f"again ({'same id' if how % 3 == 0 else 'same body'}) {old.event_id}")
        repeat = await self._deliver(Sent(old.path, old.body, headers))
        if old.event_id and repeat.event_id and abs(self.reins.ahead - old.ahead) < 71 * 3600:
            assert (repeat.status, repeat.event_id) == (200, old.event_id), (
                f"seen before as {old.event_id}, answered {repeat.status} {repeat.event_id}"
            )

    async def again_now(self, pick: int, how: int) -> None:
        """As `again`, without a change of kind: for a load."""
        await self.again(pick, how % 2)

    async def thank(self, key: int, _: int) -> None:
        """A comment that needs no answer."""
        await self.comment(key, 3)

    async def deliver(self, body: bytes) -> Sent:
        """A signed webhook of Jira's."""
        headers = {
            "X-Atlassian-Webhook-Identifier": uuid.uuid4().hex,
            "X-Hub-Signature": signature(self.stage.jira.secret, body),
        }
        return await self._deliver(Sent("/webhooks/jira", body, headers))

    async def _deliver(self, sent: Sent) -> Sent:
        assert self._session is not None
        headers = {"Content-Type": "application/json", **sent.headers}
        answer: Any = None
        try:
            async with self._session.post(f"{self._door()}{sent.path}", data=sent.body, headers=headers) as got:
                sent.status, answer = got.status, await got.json()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            sent.status = 0
        if sent.status == 0 or sent.status >= 500:
            assert sent.status in (0, 503), f"a delivery was answered {sent.status}"
            self.unanswered.append(sent)
            return sent
        assert sent.status in (200, 202), f"a delivery was answered {sent.status}: {answer}"
        sent.event_id, sent.ahead = str(answer["event_id"]), self.reins.ahead
        if sent.status == 202:
            self.events[sent.event_id] = sent
        self.sent.append(sent)
        return sent

    def _door(self) -> str:
        """Where a load balancer would send it: to one of those that live."""
        bots = self.bots
        return bots[next(self._turns) % len(bots)].url if bots else self.stage.bot_url

    # Slack

    async def click(self, who: int, pick: int, stale: int) -> None:
        """Somebody presses something, now and then on a card as it was earlier."""
        user = (DANA, SAM, DANA, SAM, DANA, PRIYA, GUS)[who % 7]
        now = [(m, b) for m in self.stage.slack.messages() for b in reversed(m.buttons)]
        was = [
            (old, b)
            for m in self.stage.slack.messages()
            for old in (Message(m.channel, payload) for payload in m.versions)
            for b in reversed(old.buttons)
        ]
        found = (was if stale % 4 == 0 and was else now) or was
        if found:
            # The newest first: small numbers, which hypothesis likes, mean what is going on now.
            message, button = found[-1 - pick % len(found)]
            await self.press(user, message.snapshot(), button)

    async def ask_and_decide(self, key: int, who: int, how: int) -> None:
        """A question, its card, and a click on it, mostly by somebody who may."""
        sent = await self.comment(key, 0)
        name = self.keys[key % len(self.keys)]
        found: list[Message] = []
        for _ in range(300):
            found = [m for m in self.stage.slack.drafts(name) if "Approve" in m.buttons]
            self.books.read()
            event = self.books["webhook_events"].get(sent.event_id)
            silent = event is None or (event["state"] != "received" and event["reason"] != "draft")
            if found or not self.alive or silent or waits(self.books):
                break
            await asyncio.sleep(0.01)
        if not found:
            return
        user, card = (DANA, SAM, DANA, SAM, PRIYA)[who % 5], found[-1].snapshot()
        if how % 6 == 5:
            # Jira is slow just now, and somebody switches the mode between the click and the POST.
            self.stage.jira.fail(READ, Fault("hang", seconds=0.3))
            mode = self.books["state"]["mode"]["mode"]
            await asyncio.gather(self.press(user, card, "Approve"), self._switch_from(mode))
            return
        button = ("Approve", "Approve", "Approve", "Edit", "Skip")[how % 5]
        await self.press(user, card, button)
        if button == "Edit":
            await self.submit(0, 1 + how % 3)

    async def _switch_from(self, mode: str) -> None:
        await asyncio.sleep(0.05)
        await self.command(0, COMMANDS.index("mode simulation" if mode == "production" else "mode production"))

    async def press(self, user: str, message: Message, button: str) -> None:
        value = json.loads(message.button(button).get("value") or "{}")
        self.say(f"{user} presses {button} on {value.get('draft') or value}")
        draft_id = value.get("draft", "")
        if button in APPROVING and draft_id:
            shown = words(shown_reply(message.blocks))
            self.wishes.append(Wish(user, draft_id, tuple(tokens(shown))))
        await self.unless_dead(self.stage.slack.click(user, message, button))
        if button == "Edit":
            with contextlib.suppress(AssertionError):
                await self.stage.slack.opened(user, 0.3)

    async def submit(self, who: int, what: int) -> None:
        """Whoever has the window open sends it, changed or as it stands, or closes it."""
        open_now = [u for u in (DANA, SAM, PRIYA, GUS) if self.stage.slack.modal(u)]
        if not open_now:
            return
        user = open_now[who % len(open_now)]
        modal = self.stage.slack.modal(user)
        assert modal is not None
        if what % 4 == 0:
            self.say(f"{user} closes the window")
            await self.unless_dead(self.stage.slack.dismiss(user))
            return
        text = modal.text if what % 4 == 1 else f"Typed t{next(self._numbers)} by *hand*."
        about = json.loads(modal.view.get("private_metadata") or "{}")
        self.wishes.append(Wish(user, about.get("draft", ""), tuple(tokens(text))))
        self.say(f"{user} submits {text[:40]!r} for {about.get('draft')}")
        with contextlib.suppress(ClientRefusedError, AssertionError):
            await self.unless_dead(self.stage.slack.submit(user, text, modal=modal))

    async def command(self, who: int, what: int) -> None:
        """Somebody types a command."""
        user = (DANA, SAM, DANA, PRIYA)[who % 4]
        said = COMMANDS[what % len(COMMANDS)]
        self.say(f"{user} /pmagent {said}")
        await self.unless_dead(self.stage.slack.command(user, "/pmagent", said))

    # Time

    async def breathe(self, how: int) -> None:
        """Let the program go on for a moment, or until it is quiet for now."""
        moment = (0.0, 0.0, 0.03, 0.15)[how % 4]
        if moment and self.alive:
            await asyncio.sleep(moment)

    async def until_dead(self, seconds: float) -> None:
        """Wait until the program has come to its failpoint; AssertionError when it does not."""
        end = time.monotonic() + seconds * PATIENCE
        while self.alive:
            assert time.monotonic() < end, f"{self.failpoint or 'its end'} was not reached in {seconds:g} s"
            await asyncio.sleep(0.01)

    async def until(self, look: Any, seconds: float) -> bool:
        """Wait for it, with the program kept alive."""
        end = time.monotonic() + seconds
        while True:
            await self.up()
            self.books.read()
            if look():
                return True
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.01)


def waits(books: Books) -> str:
    """Why an accepted event may wait: paused, the budget is spent. Empty: it may not."""
    pause = books["state"].get("pause")
    if pause and pause["paused"]:
        return "paused"
    return "budget" if any(name.startswith("budget:") for name in books["messages"]) else ""


def _adf(text: str) -> dict[str, Any]:
    from bot.demo.jira import adf

    return adf.from_wiki(text)
