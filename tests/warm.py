"""A fork server for tests: each start of the program is a fork of a Python that has everything loaded.

Loading the libraries (Anthropic's SDK above all) takes two seconds of a processor, the program's own modules half a
second, a thousand times. What is started here is a process as any other: its own session, environment, folder, output,
exit code; `bot/__main__.py` runs in it as by `python -m bot`, and importing a module does nothing, so it is no matter
where that was done. `tests/acceptance/test_play.py`, `test_demo_page.py` and `test_deploy.py` start the program as a
user does.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from bot import failpoints

LIBRARIES = (
    "ahocorasick_rs", "aiohttp", "anthropic", "atlassian", "email.mime.text", "fastapi", "filelock", "httptools",
    "limits.aio.strategies", "markdown_it", "orjson", "pydantic", "regex",
    "slack_bolt.adapter.socket_mode.async_handler", "slack_bolt.async_app", "sqlite3", "structlog", "tinydb",
    "uvicorn.protocols.http.httptools_impl", "zoneinfo",
)  # fmt: skip
OURS = ("bot", "handlers")
SHARED = "PMAGENT_TEST_WARM"
"""Where the fork server of all test workers listens."""
APART = ("bot.__main__", "bot.demo", "bot.evals")


# The server


def load() -> None:
    """All that a bot or a command may need. That a bot on TinyDB loads no driver of PostgreSQL is a test of its own."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for package in map(importlib.import_module, OURS):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(APART):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()


def serve(path: str) -> NoReturn:
    """Fork a keeper for each connection, which starts one program and tells how it ends."""
    load()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are nobody's to wait for
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"{path}.new")
    listening.listen(64)
    Path(f"{path}.new").rename(path)  # where it is seen, it is listened at: between the two calls it would refuse
    while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:  # it ends with whoever started this
        connection, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            keep(connection)
        connection.close()
    sys.exit()


def keep(connection: socket.socket) -> NoReturn:
    """Start what is ordered; tell its id, and its exit code in the end (negative: the signal)."""
    order, outputs, _, _ = socket.recv_fds(connection, 1 << 20, 2)
    told = json.loads(order)
    program = os.fork()
    if program == 0:
        connection.close()
        become(told["arguments"], told["folder"], told["environment"], outputs)
    connection.sendall(f"{program}\n".encode())
    for descriptor in outputs:
        os.close(descriptor)
    _, status = os.waitpid(program, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def become(arguments: list[str], folder: str, environment: dict[str, str], outputs: list[int]) -> NoReturn:
    """Be `python -m MODULE …` from here on."""
    os.setsid()
    with Path(os.devnull).open() as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(outputs[0], 1)
    os.dup2(outputs[-1], 2)
    os.closerange(3, 64)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it lives as long as the program
    sys.stderr = open(2, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115 - as above
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    importlib.reload(failpoints)  # it looks at the environment once
    module, sys.argv = arguments[0], [arguments[0], *arguments[1:]]
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


# The tests' side


class Program:
    """A program that was started: as much of `asyncio.subprocess.Process` as the stage needs."""

    def __init__(
        self, pid: int, keeper: asyncio.StreamReader, to: asyncio.StreamWriter, outputs: list[asyncio.StreamReader]
    ) -> None:
        self.pid = pid
        self.stdout = outputs[0]
        self.stderr = outputs[1] if len(outputs) > 1 else None
        self.returncode: int | None = None
        self._ending = asyncio.create_task(self._end(keeper, to))

    async def _end(self, keeper: asyncio.StreamReader, to: asyncio.StreamWriter) -> int:
        self.returncode = int(await keeper.readline())
        to.close()  # not before: the keeper would have nobody to tell
        return self.returncode

    async def wait(self) -> int:
        return await asyncio.shield(self._ending)

    def send_signal(self, number: int) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def start(*arguments: str, folder: Path, environment: dict[str, str], apart: bool = False) -> Program:
    """As `bot.demo.process.start`."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(_where())
    pipes = [os.pipe() for _ in range(2 if apart else 1)]
    order = {"arguments": arguments, "folder": str(folder), "environment": environment}
    socket.send_fds(connection, [json.dumps(order).encode()], [writing for _, writing in pipes])
    for _, writing in pipes:
        os.close(writing)
    keeper, to = await asyncio.open_unix_connection(sock=connection)
    outputs = [await _reader(reading) for reading, _ in pipes]
    return Program(int(await keeper.readline()), keeper, to, outputs)


def run(
    *arguments: str, folder: Path, environment: dict[str, str], timeout: float = 60.0
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` with its output captured, for a caller without a loop."""

    async def ran() -> subprocess.CompletedProcess[str]:
        program = await start(*arguments, folder=folder, environment=environment, apart=True)
        assert program.stderr
        try:
            out, err = await asyncio.wait_for(asyncio.gather(program.stdout.read(), program.stderr.read()), timeout)
        except TimeoutError:
            program.kill()
            raise
        return subprocess.CompletedProcess(arguments, await program.wait(), out.decode(), err.decode())

    return asyncio.run(ran())


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb")
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


@functools.cache
def _where() -> str:
    """Where the fork server listens: that of all workers, or else this process's own."""
    path = os.environ.get(SHARED) or begin()
    end = time.monotonic() + 60
    while not Path(path).exists():
        assert time.monotonic() < end, "the fork server did not come up in 60 s"
        time.sleep(0.02)
    return path


def begin() -> str:
    """Start a fork server, which ends with this process. Returns where it will listen."""
    folder = tempfile.mkdtemp(prefix="warm-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = f"{folder}/server"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", path],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    atexit.register(server.communicate)  # its standard input ends, and so it does
    return path


if __name__ == "__main__":
    serve(sys.argv[1])
