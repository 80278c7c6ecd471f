"""The demo's web page and what it talks to: state as JSON, changes as server-sent events, deeds as POSTs.

The page listens on the loopback interface. A request whose Host or Origin is another's is refused, so that no web page
from elsewhere can click in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.demo import story, view
from bot.demo.slack.people import Message, Whisper
from bot.demo.slack.socket_mode import Ack
from bot.demo.slack.stand_in import ClientRefusedError
from bot.demo.stage import Stage
from bot.demo.wire import Exchange, StandIn

PAGE = Path(__file__).parent / "page"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
Json = dict[str, Any]
Deed = Callable[[Json], Awaitable[Json]]


class Site:
    """Routes on the stage's own server. Call `mount` before the stage opens."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.model = "stand-in"
        self.exchanges: list[Exchange] = []
        self._streams: set[asyncio.Queue[Json]] = set()
        self._watcher: asyncio.Task[None] | None = None

    def mount(self) -> None:
        """Add the page's routes and listen to every exchange."""
        deeds: dict[str, Deed] = {
            "comment": self._comment, "situation": self._situation, "move": self._move, "click": self._click,
            "submit": self._submit, "dismiss": self._dismiss, "command": self._command,
        }  # fmt: skip
        root = self.stage.server.root
        root.router.add_get("/", self._file)
        root.router.add_get("/page/{name}", self._file)
        root.router.add_get("/api/fixed", self._fixed)
        root.router.add_get("/api/state", self._state)
        root.router.add_get("/api/stream", self._stream)
        for name, deed in deeds.items():
            root.router.add_post(f"/api/{name}", self._door(deed))
        for standin in self.stage.standins:
            standin.listeners.append(self._exchanged)

    def start(self) -> None:
        """Watch the stand-ins for changes. Inside the running loop."""
        self._watcher = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        for queue in self._streams:
            queue.put_nowait({})

    # What the page reads

    async def _file(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request)
        path = PAGE / (request.match_info.get("name") or "index.html")
        if path.parent != PAGE or path.suffix not in TYPES or not path.is_file():
            raise web.HTTPNotFound
        return web.Response(body=path.read_bytes(), content_type=TYPES[path.suffix], charset="utf-8", headers=SECURITY)

    async def _fixed(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request)
        return web.json_response(view.fixed(self.stage, model=self.model), headers=SECURITY)

    async def _state(self, request: web.Request) -> web.Response:
        self._refuse_strangers(request)
        user, channel = request.query.get("user", ""), request.query.get("channel", "")
        if user not in self.stage.slack.people or channel not in self.stage.slack.channels:
            raise web.HTTPBadRequest(text="no such person or channel")
        return web.json_response(view.state(self.stage, user, channel), headers=SECURITY)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: `exchange` for each HTTP exchange, `changed` when the state is worth reading again."""
        self._refuse_strangers(request)
        response = web.StreamResponse(headers={**SECURITY, "Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._streams.add(queue)
        try:
            for found in self.exchanges[-60:]:
                queue.put_nowait({"exchange": view.exchange(found)})
            while True:
                try:
                    item = await asyncio.wait_for(queue.get(), 15)
                except TimeoutError:
                    await response.write(b": still here\n\n")
                    continue
                if not item:
                    break
                await response.write(f"data: {json.dumps(item)}\n\n".encode())
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._streams.discard(queue)
        return response

    def _exchanged(self, found: Exchange) -> None:
        self.exchanges = [*self.exchanges[-199:], found]
        self._tell({"exchange": view.exchange(found)})

    async def _watch(self) -> None:
        """Tell the pages that something changed, at most about ten times a second."""

        async def one(standin: StandIn) -> None:
            while True:
                await standin.next_change()
                moved.set()

        moved = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for standin in (self.stage.slack, self.stage.jira, self.stage.bitbucket):
                group.create_task(one(standin))
            while True:
                await moved.wait()
                moved.clear()
                self._tell({"changed": True})
                await asyncio.sleep(0.1)

    def _tell(self, item: Json) -> None:
        for queue in self._streams:
            queue.put_nowait(item)

    # What a person does on the page

    def _door(self, deed: Deed) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(request: web.Request) -> web.Response:
            self._refuse_strangers(request)
            if request.content_type != "application/json":
                raise web.HTTPUnsupportedMediaType
            try:
                answer = await deed(await request.json())
            except (KeyError, LookupError, ValueError, TypeError) as error:
                return web.json_response({"error": str(error).strip("'\"")}, status=400, headers=SECURITY)
            self._tell({"changed": True})
            return web.json_response(answer, headers=SECURITY)

        return handler

    def _refuse_strangers(self, request: web.Request) -> None:
        ours = {f"127.0.0.1:{self.stage.server.port}", f"localhost:{self.stage.server.port}"}
        origin = request.headers.get("Origin")
        if request.host not in ours or (origin and origin.partition("://")[2] not in ours):
            raise web.HTTPForbidden(text="this page talks to itself alone")

    async def _comment(self, said: Json) -> Json:
        text = str(said["text"]).strip()
        if not text:
            raise ValueError("a comment needs words")
        written = await self.stage.jira.comment(
            str(said["key"]), str(said["author"]), text[:5000], public=bool(said.get("public", True))
        )
        return await self._became(written.deliveries[-1] if written.deliveries else None, str(said["key"]))

    async def _situation(self, said: Json) -> Json:
        found = {s.id: s for s in story.SITUATIONS}[str(said["id"])]
        written = await self.stage.jira.comment(found.issue, found.author, found.text)
        return await self._became(written.deliveries[-1] if written.deliveries else None, found.issue)

    async def _move(self, said: Json) -> Json:
        await self.stage.jira.move(str(said["key"]), str(said["status"]), by="ana")
        return {"became": f"{said['key']} is {said['status']} now."}

    async def _became(self, delivery: Any, key: str) -> Json:
        """What the program made of a comment, in a sentence: it asks the program's own records, by command."""
        if delivery is None or not delivery.status:
            return {"became": "The program did not answer the webhook."}
        event_id = delivery.event_id
        if not event_id:
            return {"became": f"The webhook was answered {delivery.status}."}
        for _ in range(15):
            code, out = await self.stage.run("export", "agent_cycles")
            cycle = next((c for c in map(json.loads, out.splitlines()) if c["event_id"] == event_id), None)
            if code == 0 and cycle and cycle.get("outcome"):
                return {"became": _outcome(cycle, key)}
            await asyncio.sleep(0.4)
        return {"became": "It waits. /pmagent health says for what."}

    def _shown(self, said: Json) -> Message | Whisper:
        user, ts = str(said["user"]), str(said["ts"])
        if said.get("private"):
            return {w.ts: w for w in self.stage.slack.whispers(user)}[ts]
        found = self.stage.slack.message(str(said["channel"]), ts)
        if found is None:
            raise LookupError("this message is gone")
        version = int(said.get("version", len(found.versions)))
        if not 0 <= version < len(found.versions):
            return found
        # As Slack does: what is clicked is what stood on that person's screen, though somebody was faster.
        earlier = found.snapshot()
        earlier.payload = earlier.versions[version]
        return earlier

    async def _click(self, said: Json) -> Json:
        ack = await self.stage.slack.click(str(said["user"]), self._shown(said), str(said["action_id"]))
        return _acknowledged(ack)

    async def _submit(self, said: Json) -> Json:
        try:
            return _acknowledged(await self.stage.slack.submit(str(said["user"]), str(said["text"])))
        except ClientRefusedError as error:
            return {"refused": str(error)}

    async def _dismiss(self, said: Json) -> Json:
        await self.stage.slack.dismiss(str(said["user"]))
        return {}

    async def _command(self, said: Json) -> Json:
        line = str(said["text"]).strip()
        command, _, rest = line.partition(" ")
        if command != "/pmagent":
            return {"refused": "This demo has one command: /pmagent. Try /pmagent help"}
        ack = await self.stage.slack.command(str(said["user"]), command, rest.strip(), channel=str(said["channel"]))
        return _acknowledged(ack)


def _acknowledged(ack: Ack) -> Json:
    problem = "" if ack.acked else "PM Agent did not answer in time (3 seconds). Slack would show this sign too."
    return {"acked": ack.acked, "ms": round(ack.ms), "warning": problem or ack.error}


def _outcome(cycle: Json, key: str) -> str:
    if cycle["outcome"] == "draft":
        return f"A draft for {key} is in #pm-approvals."
    if cycle["outcome"] == "silence":
        reason = str(cycle.get("reasoning") or cycle.get("reason") or "")
        return f"Silence, on purpose: {reason} /pmagent why {key} shows it."
    return f"No draft: {cycle.get('reason', '')}"
