"""The demo's page in a real browser: headless Chromium, driven over its own debugging protocol.

`python -m tests.acceptance.test_demo_page DEST.png` takes the README's picture.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from bot.demo.show import show
from bot.demo.slack.people import APPROVALS, SAM, Message
from bot.demo.stage import Stage
from tests import warm
from tests.hostile.support import until, until_so

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-debugging-port=0",
)  # fmt: skip
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="NO CHROMIUM HERE: the demo page is not tested. Install Debian's package chromium."
)


class Tab:
    """One page of the browser. `js` evaluates, `until` waits for an expression to become true."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reader = asyncio.create_task(self._read())
        self.problems: list[str] = []

    async def _read(self) -> None:
        async for message in self._socket:
            said = json.loads(message.data)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            elif said["method"] == "Runtime.exceptionThrown":
                self.problems.append(str(said["params"]["exceptionDetails"]))
            elif said["method"] == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
                self.problems.append(said["params"]["entry"]["text"])

    async def ask(self, method: str, **params: Any) -> Any:
        self._ids += 1
        answer = self._answers[self._ids] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._ids, "method": method, "params": params})
        said = await asyncio.wait_for(answer, 20)
        assert "error" not in said, said
        return said["result"]

    async def js(self, expression: str) -> Any:
        result = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str, seconds: float = 15.0) -> None:
        """Wait until the JavaScript expression is true."""
        for _ in range(int(seconds / 0.05)):
            if found := await self.js(
                f"(() => {{ try {{ return Boolean({expression}) }} catch {{ return null }} }})()"
            ):
                return found
            await asyncio.sleep(0.05)
        shown = await self.js("document.body.innerText")
        raise AssertionError(f"waited {seconds:g} s for {expression}; the page shows:\n{shown}")

    async def press(self, selector: str, text: str = "", *, where: str = "document") -> None:
        """Click the last element that matches (and has this text), with the mouse, where it is on the screen."""
        spot = await self.aim(selector, text, where=where)
        await self.mouse("mousePressed", spot)
        await self.mouse("mouseReleased", spot)

    async def aim(self, selector: str, text: str = "", *, where: str = "document") -> list[float]:
        """Where the last such element stands still on the screen, as somebody waits for it before they press."""
        find = (
            f"[...{where}.querySelectorAll({json.dumps(selector)})]"
            f".filter(e => !{json.dumps(text)} || e.innerText.trim() === {json.dumps(text)}).at(-1)"
        )
        await self.until(find + " !== undefined")
        spot: list[float] = []
        for _ in range(100):
            before, spot = (
                spot,
                await self.js(
                    f"(() => {{ const e = {find}; e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
                    "const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;"
                    "return e.contains(document.elementFromPoint(x, y)) ? [x, y] : [] })()"
                ),
            )
            if spot and spot == before:
                return spot
            await asyncio.sleep(0.1)
        raise AssertionError(f"{find} does not stand still")

    async def mouse(self, kind: str, spot: list[float]) -> None:
        """Press or release the left button at a place on the screen."""
        await self.ask("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], button="left", clickCount=1)

    async def type(self, selector: str, text: str) -> None:
        """Replace what stands in an input, as a person would."""
        await self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()"
        )
        await self.ask("Input.insertText", text=text)

    async def key(self, name: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if name == "Enter" and kind == "keyDown" else {}
            await self.ask("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code, **text)

    async def space(self, kind: str) -> None:
        """Press (`keyDown`) or release (`keyUp`) the space bar."""
        text = {"text": " "} if kind == "keyDown" else {}
        await self.ask("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", windowsVirtualKeyCode=32, **text)

    async def become(self, name: str) -> None:
        """Play another person, and let the page draw what they see."""
        await self.js(
            "(() => { const s = document.getElementById('player');"
            f"s.value = [...s.options].find(o => o.text.startsWith({json.dumps(name)})).value;"
            "s.dispatchEvent(new Event('change')) })()"
        )
        await asyncio.sleep(0.3)

    async def picture(self, path: Path) -> None:
        shot = await self.ask("Page.captureScreenshot", format="png")
        _save(path, base64.b64decode(shot["data"]))

    async def close(self) -> None:
        self._reader.cancel()
        await self._socket.close()


class Browser:
    """Headless Chromium with an empty profile."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session = aiohttp.ClientSession()
        self._tabs: dict[str, Tab] = {}

    async def __aenter__(self) -> Self:
        assert CHROMIUM is not None
        profile = self._folder / "profile"
        self._process = await asyncio.create_subprocess_exec(
            CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        port = profile / "DevToolsActivePort"
        for _ in range(400):
            if port.exists() and port.read_text().strip():
                break
            await asyncio.sleep(0.05)
        self._base = f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        return self

    async def open(self, address: str, *, width: int = 1440, height: int = 900) -> Tab:
        """A tab whose page is that many pixels wide and high."""
        async with self._session.put(f"{self._base}/json/new?about:blank") as answer:
            target = await answer.json(content_type=None)
        tab = Tab(await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0))
        self._tabs[target["id"]] = tab
        for domain in ("Runtime", "Log", "Page"):
            await tab.ask(f"{domain}.enable")
        await tab.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await tab.ask("Page.navigate", url=address)
        await tab.until("document.querySelector('#pulse.on')")
        return tab

    async def close_tabs(self) -> None:
        for target, tab in self._tabs.items():
            await tab.close()
            async with self._session.get(f"{self._base}/json/close/{target}"):
                pass
        self._tabs.clear()

    async def __aexit__(self, *_: object) -> None:
        await self.close_tabs()
        await self._session.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class Demo:
    """`python -m bot demo` as a process."""

    def __init__(self, process: asyncio.subprocess.Process, page: str) -> None:
        self.process, self.page = process, page

    @classmethod
    async def start(cls, folder: Path, *arguments: str) -> Demo:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "demo", "--no-browser", "--port", "0", *arguments, cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        first = (await asyncio.wait_for(process.stdout.readline(), 40)).decode()
        return cls(process, first.split()[-1])

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(how)
        await asyncio.wait_for(self.process.communicate(), 30)
        return self.process.returncode or 0


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    started = await Demo.start(tmp_path)
    yield started
    assert await started.end() == 0
    assert not _left_behind(tmp_path), "the data folder was left behind"


@pytest.fixture
async def page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AsyncIterator[str]:
    """The demo's page, for what is seen on it: the command runs on this loop, and the program is a warm start."""
    stage = Stage(folder=tmp_path / "stage", starter=warm.start)
    stage.folder.mkdir()
    showing = asyncio.create_task(show(port=0, browser=False, stage=stage))
    await until(lambda: showing.done() or "The demo's page:" in capsys.readouterr().out)
    yield f"{stage.server.url}/"
    os.kill(os.getpid(), signal.SIGTERM)  # `show` heeds it
    assert await showing == 0


@pytest.fixture(scope="module")
async def chromium(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Browser]:
    async with Browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """The one browser, for each test anew: every demo has a port, and so an origin, of its own."""
    yield chromium
    await chromium.close_tabs()


def _save(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _left_behind(folder: Path) -> list[Path]:
    return list(folder.glob("pm-agent-*"))


def _children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    if not listed.exists():
        pytest.skip("NO /proc HERE: cannot see the demo's children")
    return [int(child) for child in listed.read_text().split()]


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def said(look: Callable[[], Awaitable[Any]], words: str) -> bool:
    return words in json.dumps(await look())


MESSAGE = "document.querySelector('#messages article:last-child')"
# An answer for the person at the page arrives in the list of messages, which the page draws again.
ASK_HELP = (
    "fetch('/api/command', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify("
    "{user: document.getElementById('player').value, text: '/pmagent help',"
    " channel: document.querySelector('#channels button').dataset.key})}).then(answer => answer.ok)"
)


@needs_chromium
async def test_comment_approve_edit_skip(demo: Demo, browser: Browser) -> None:
    tab = await browser.open(demo.page)
    assert "nothing leaves this machine" in await tab.js("document.getElementById('honest').textContent")

    # Comment, then Approve
    await tab.type("#words", "Is anybody looking at this?")
    await tab.press("#send")
    await tab.until(f"{MESSAGE}.innerText.includes('PR #12')")
    assert await tab.js(f"[...{MESSAGE}.querySelectorAll('.actions button')].map(b => b.innerText).join()") == (
        "Approve,Edit,Skip"
    )
    await tab.press(".actions button", "Approve")
    await tab.until(f"{MESSAGE}.innerText.includes('Posted by Dana Petrova')")
    await tab.until("document.querySelector('.comment-item.ours').innerText.includes('PR #12')")
    await tab.until("document.querySelector('#exchanges').innerText.includes('/webhooks/jira')")

    # Edit, in the modal
    await tab.press("#situations button", "Nobody knows yet")
    await tab.until(f"{MESSAGE}.innerText.includes('ECD-151')")
    await tab.press(".actions button", "Edit")
    await tab.until("document.querySelector('#modal[open] textarea').value.includes('Hi Ben')")
    await tab.type("#modal textarea", "Hi Ben, **Elif** can tell since when it is slow.")
    await tab.press("#modal button[type=submit]")
    await tab.until("!document.querySelector('#modal').open")
    await tab.until(f"{MESSAGE}.innerText.includes('with an edit')")
    await tab.until("document.querySelector('.comment-item.ours strong + *') !== null")
    assert await tab.js("document.querySelector('.comment-item.ours .doc strong').innerText") == "Elif"

    # Skip, by somebody else, of a customer's request
    await tab.press("#situations button", "A customer’s request")
    await tab.until(f"{MESSAGE}.innerText.includes('internal note')")
    await tab.become("Sam")
    await tab.press(".actions button", "Skip")
    await tab.until("document.querySelector('#messages').innerText.includes('Skipped by Sam Whitfield')")
    await tab.press(".actions button", "Not needed", where=f"{MESSAGE}")
    await tab.until(f"{MESSAGE}.innerText.includes('Thanks')")
    assert tab.problems == []


@needs_chromium
async def test_a_click_survives_a_change_between_press_and_release(page: str, browser: Browser) -> None:
    tab = await browser.open(page)
    await tab.press("#situations button", "A question")
    await tab.until(f"{MESSAGE}.innerText.includes('Approve')")
    await tab.until("document.querySelector('#became').innerText.includes('draft')")
    spot = await tab.aim(".actions button", "Approve")
    await tab.mouse("mousePressed", spot)
    await tab.js(ASK_HELP)
    await asyncio.sleep(1.0)
    assert await tab.js("document.querySelector('.message.private') === null"), "nothing moves under the mouse"
    await tab.mouse("mouseReleased", spot)
    await tab.until("document.querySelector('.message.private').innerText.includes('stats')")
    await tab.until("document.querySelector('#messages').innerText.includes('Posted by Dana Petrova')")
    assert tab.problems == []


@needs_chromium
async def test_a_click_on_a_card_that_was_just_decided_is_told_by_whom(page: str, browser: Browser) -> None:
    """As in Slack: what is clicked is what stands on the screen, however old that is."""
    tab = await browser.open(page)
    await tab.press("#situations button", "A question")
    spot = await tab.aim(".actions button", "Approve")
    await tab.mouse("mousePressed", spot)
    async with aiohttp.ClientSession(page) as session:

        async def card() -> dict[str, Any]:
            async with session.get("/api/state", params={"user": SAM, "channel": APPROVALS}) as answer:
                found: list[dict[str, Any]] = (await answer.json())["messages"]
                return [message for message in found if not message.get("private")][-1]

        shown = await card()
        skip = Message(APPROVALS, shown).button("Skip")
        click = {"user": SAM, "channel": APPROVALS, "action_id": skip["action_id"]}
        async with session.post("/api/click", json=click | {k: shown[k] for k in ("ts", "version")}) as answer:
            assert (await answer.json())["acked"]
        await until_so(lambda: said(card, "Skipped by Sam Whitfield"))
    await tab.mouse("mouseReleased", spot)
    await tab.until("document.querySelector('.message.private').innerText.includes('Sam')")
    assert await tab.js("document.querySelectorAll('.comment-item.ours').length") == 0
    assert await tab.js("document.querySelectorAll('.toast').length") == 0
    assert tab.problems == []


@needs_chromium
async def test_the_space_bar_survives_a_change_before_it_is_let_go(page: str, browser: Browser) -> None:
    tab = await browser.open(page)
    await tab.press("#situations button", "A question")
    await tab.aim(".actions button", "Approve")
    await tab.until("document.querySelector('#became').innerText.includes('draft')")
    await tab.js("[...document.querySelectorAll('.actions button')].find(b => b.innerText === 'Approve').focus()")
    await tab.space("keyDown")
    await tab.js(ASK_HELP)
    await asyncio.sleep(1.0)
    await tab.space("keyUp")
    await tab.until("document.querySelector('.message.private').innerText.includes('stats')")
    await tab.until("document.querySelector('#messages').innerText.includes('Posted by Dana Petrova')")
    assert tab.problems == []


@needs_chromium
async def test_two_people_click_at_once_and_one_is_told_who_was_first(page: str, browser: Browser) -> None:
    dana, sam = await browser.open(page), await browser.open(page)
    await sam.become("Sam")
    await dana.press("#situations button", "A question")
    spots = [(tab, await tab.aim(".actions button", text)) for tab, text in ((dana, "Approve"), (sam, "Skip"))]
    # Both hold the button down before either lets go: each page still shows the card that waits for a decision.
    for tab, spot in spots:
        await tab.mouse("mousePressed", spot)
    await asyncio.gather(*(tab.mouse("mouseReleased", spot) for tab, spot in spots))
    for tab in (dana, sam):
        await tab.until("/(Posted|Skipped) by/.test(document.querySelector('#messages').innerText)")
    # Whoever skipped is asked why, privately too.
    told = "[...document.querySelectorAll('.message.private')].map(m => m.innerText).find(t => t.includes('already'))"
    for _ in range(300):
        private = [await dana.js(told), await sam.js(told)]
        if any(private):
            break
        await asyncio.sleep(0.05)
    assert [bool(p) for p in private].count(True) == 1, private
    loser = next(p for p in private if p)
    winner = "Sam" if private[0] else "Dana"
    assert winner in loser
    posted = await dana.js("document.querySelectorAll('.comment-item.ours').length")
    assert posted == (1 if winner == "Dana" else 0)


@needs_chromium
async def test_who_may_not_decide_is_told_so_and_silence_has_its_reason(page: str, browser: Browser) -> None:
    tab = await browser.open(page)
    await tab.press("#situations button", "Small talk")
    await tab.until("document.querySelector('#became').innerText.startsWith('Silence')")
    await tab.press("#situations button", "A question")
    await tab.until(f"{MESSAGE}.innerText.includes('Approve')")
    await tab.become("Priya")
    await tab.press(".actions button", "Approve")
    await tab.until("document.querySelector('.message.private').innerText.includes('Only visible to you')")
    assert await tab.js("document.querySelectorAll('.actions button').length") == 3
    assert await tab.js("document.querySelectorAll('.comment-item.ours').length") == 0


@needs_chromium
async def test_commands_by_keyboard_alone(page: str, browser: Browser) -> None:
    tab = await browser.open(page)
    await tab.js("document.getElementById('line').focus()")
    await tab.ask("Input.insertText", text="/pmagent hel")
    await tab.until("!document.getElementById('suggest').hidden")
    await tab.key("Tab", 9)
    await tab.until("document.getElementById('line').value === '/pmagent help'")
    await tab.key("Enter", 13)
    await tab.until("document.querySelector('.message.private').innerText.includes('stats')")


@needs_chromium
async def test_what_people_write_stays_text(page: str, browser: Browser) -> None:
    tab = await browser.open(page)
    await tab.type("#words", "Is it done? <img src=x onerror=\"document.title='owned'\"> [here|javascript:alert(1)]")
    await tab.press("#send")
    await tab.until(f"{MESSAGE}.innerText.includes('onerror')")
    assert await tab.js("document.querySelectorAll('#messages img:not(.avatar), #issue img:not(.avatar)').length") == 0
    assert await tab.js("[...document.links].filter(a => a.protocol === 'javascript:').length") == 0
    assert await tab.js("document.title") == "PM Agent demo"


@needs_chromium
async def test_both_common_screens_show_everything_without_scrolling_the_page(page: str, browser: Browser) -> None:
    for width, height in ((1440, 900), (1280, 720)):
        tab = await browser.open(page, width=width, height=height)
        await tab.press("#situations button", "A question")
        await tab.until(f"{MESSAGE}.innerText.includes('Approve')")
        root = "document.documentElement"
        assert await tab.js(f"{root}.scrollWidth <= {width} && {root}.scrollHeight <= {height}")
        for control in ("#send", "#line", "#player", "#exchanges"):
            box = await tab.js(
                f"(() => {{ const r = document.querySelector('{control}').getBoundingClientRect();"
                "return [r.left, r.top, r.right, r.bottom] })()"
            )
            assert min(box) >= 0, (control, box)
            assert box[2] <= width, (control, box)
            assert box[3] <= height, (control, box)


async def test_the_page_talks_to_itself_alone(demo: Demo) -> None:
    async with aiohttp.ClientSession() as session:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            async with session.post(f"{demo.page}api/situation", json={"id": "talk"}, headers=headers) as answer:
                assert answer.status == 403
        async with session.post(f"{demo.page}api/situation", data="id=talk") as answer:
            assert answer.status == 415
        async with session.get(f"{demo.page}page/..%2Fsite.py") as answer:
            assert answer.status == 404
        async with session.get(demo.page) as answer:
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


async def test_a_taken_port_is_named(tmp_path: Path, demo: Demo) -> None:
    port = demo.page.rstrip("/").rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "demo", "--no-browser", "--port", port, cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert f"Port {port} is taken" in said.decode()
    assert "Traceback" not in said.decode()


async def test_the_program_does_not_outlive_a_killed_demo(tmp_path: Path) -> None:
    demo = await Demo.start(tmp_path)
    pids = _children(demo.process.pid)
    assert pids
    await demo.end(signal.SIGKILL)
    for _ in range(100):
        if not any(_alive(pid) for pid in pids):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still running: {[pid for pid in pids if _alive(pid)]}")


async def _take_picture(target: Path, scene: str = "story", size: tuple[int, int] = (1440, 900)) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        demo = await Demo.start(folder)
        try:
            async with Browser(folder) as browser:
                tab = await browser.open(demo.page, width=size[0], height=size[1])
                if scene == "empty":
                    await asyncio.sleep(0.3)
                else:
                    await tab.press("#situations button", "A question")
                    await tab.until(f"{MESSAGE}.innerText.includes('Approve')")
                    await tab.until("document.querySelector('#became').innerText.includes('draft')")
                if scene in ("posted", "stats"):
                    await tab.press(".actions button", "Approve")
                    await tab.until(f"{MESSAGE}.innerText.includes('Posted by')")
                    await asyncio.sleep(2.5)  # until the new comment's highlight has faded
                if scene == "stats":
                    await tab.become("Priya")
                    await tab.type("#line", "/pmagent stats")
                    await tab.key("Enter", 13)
                    await tab.until("document.querySelector('.message.private')")
                if scene == "edit":
                    await tab.press(".actions button", "Edit")
                    await tab.until("document.querySelector('#modal[open] textarea')")
                if scene == "hostile":
                    await tab.press("#situations button", "A hostile comment")
                    await tab.until(f"{MESSAGE}.innerText.includes('ECD-151')")
                    await tab.press("#situations button", "A customer’s request")
                    await tab.until(f"{MESSAGE}.innerText.includes('SUP-27')")
                if scene == "wire":
                    await tab.press("#exchanges summary")
                await asyncio.sleep(0.6)
                await tab.picture(target)
                print(tab.problems or "no problems")  # noqa: T201 - run by hand
        finally:
            await demo.end()


if __name__ == "__main__":
    screen = (int(sys.argv[3]), int(sys.argv[4])) if len(sys.argv) > 4 else (1440, 900)
    asyncio.run(_take_picture(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "posted", screen))
