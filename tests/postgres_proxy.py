"""A network between the program and PostgreSQL that loses what it is told to lose, at the wire."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Literal, Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo

At = Literal["before", "during", "after", "held"]


class Proxy:
    """Passes connections on to the server of `url`.

    `at`: where the next connection that sends COMMIT is lost. `before`: COMMIT does not reach the server; `during`: it
    does, and its answer is not waited for; `after`: the answer is lost; `held`: `release` lets it reach the server,
    long after the client has lost the connection. `down_after`: from then on nobody can connect.
    """

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self.url = url
        self.at: At | None = None
        self.down_after = False
        self.down = False
        self.release = asyncio.Event()
        self.lost = asyncio.Event()
        self.delivered = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = make_conninfo(self.url, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if not self.down:
                await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = str(self._target.get("host") or "localhost"), str(self._target.get("port") or 5432)
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, int(port))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers, server = await self._open()

        async def back() -> None:
            while data := await answers.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()

        backwards = asyncio.create_task(back())
        try:
            while data := await reader.read(1 << 16):
                if self.at is not None and b"COMMIT\0" in data:
                    backwards.cancel()
                    await asyncio.wait({backwards})
                    await self._lose(data, writer, answers, server)
                    return
                server.write(data)
                await server.drain()
        finally:
            backwards.cancel()
            server.close()

    async def _lose(
        self, data: bytes, client: asyncio.StreamWriter, answers: asyncio.StreamReader, server: asyncio.StreamWriter
    ) -> None:
        at, self.at, self.down = self.at, None, self.down_after
        if at in ("during", "after"):
            server.write(data)
            await server.drain()
        if at == "after":
            await answers.read(1 << 16)
        client.transport.abort()
        self.lost.set()
        if at == "held":
            await self.release.wait()
            server.write(data)
            await server.drain()
        if at != "before":
            while b"Z" not in (said := await answers.read(1 << 16)) and said:  # until it is ready for the next query
                pass
        self.delivered.set()
