"""What is between pages and files: the socket, and what is kept in memory."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from medlocker.serving import prompt
from medlocker.serving.cache import Cache
from medlocker.serving.listening import listening
from medlocker.web._roots import MOST_ENTRIES, Roots
from patience import HANGS_S


def test_answers_do_not_wait_for_the_other_side() -> None:
    """Else every page takes 40 ms more, for the delayed acknowledgement of its first part."""

    async def is_sent_at_once() -> bool:
        found: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        class Answering(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                accepted = transport.get_extra_info("socket")
                found.set_result(bool(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))

        with listening(0) as listener:
            server = await asyncio.get_running_loop().create_server(Answering, sock=listener)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            sent = await found
            writer.close()
            server.close()
        return sent

    assert asyncio.run(is_sent_at_once())


def test_the_least_used_is_forgotten_first() -> None:
    made: list[str] = []
    cache = Cache[str](len, most_bytes=6)

    def get(key: str) -> str:
        return cache.get(key, lambda: made.append(key) or 3 * key)  # type: ignore[func-returns-value]

    assert [get(key) for key in "abacba"] == ["aaa", "bbb", "aaa", "ccc", "bbb", "aaa"]
    assert "".join(made) == "abcba"


def test_what_is_too_large_is_made_and_pushes_nothing_out() -> None:
    cache = Cache[str](len, most_bytes=6)
    assert cache.get("a", lambda: "small") == "small"
    assert cache.get("b", lambda: "too large") == "too large"
    assert cache.get("b", lambda: "made again") == "made again"
    assert cache.get("a", lambda: "again") == "small"


def test_keys_are_found_beside_many_images(tmp_path: Path) -> None:
    for number in range(MOST_ENTRIES + 1):
        (tmp_path / f"{number}.png").touch()
    for name in ("own.sign.key", "own.age.pub", "deep/er/own.sign.key", ".hid/own.sign.key", "own.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.sign.key").mkdir()
    (tmp_path / "link.sign.key").symlink_to(tmp_path / "own.sign.key")
    roots = Roots([tmp_path])
    assert roots.find(".sign.key") == ["0/deep/er/own.sign.key", "0/own.sign.key"]
    assert roots.find(".sign.key", depth=1) == ["0/own.sign.key"]
    assert roots.find(".age.pub", ".sign.key")[1:] == ["0/own.age.pub", "0/own.sign.key"]


@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_who_opens_connections_and_does_not_ask_keeps_nobody_out(
    before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt, "HEADER_S", 0.05)
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    config = uvicorn.Config(
        app, http=prompt.PromptProtocol, log_level="critical", lifespan="off", timeout_keep_alive=1000
    )

    async def answered() -> bytes:
        with listening(0) as listener:
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            if before:
                writer.write(before)
                await reader.readuntil(b"here")
            writer.write(b"GET / HTTP/1.1\r\nHo")
            rest = await asyncio.wait_for(reader.read(), HANGS_S)  # until it is closed
            writer.close()
            server.should_exit = True
            await serving
            return rest

    assert asyncio.run(answered()) == b""
