"""The load that slipway makes: its rate, its marks, its end, and what it says when it does not get through."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from slipway.hooks import load as loads
from slipway.hooks import sender as senders
from slipway.hooks.load import Load, sending
from slipway.hooks.sender import Order, Report, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AGENT = "slipway-synthetic/1 (echo-page-1.0.0-local-20261124T120000Z-ab12)"


class Server(ThreadingHTTPServer):
    """Answers, and remembers who asked for what."""

    daemon_threads = True
    request_queue_size = 200
    status = 200
    hangs = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, str]] = []
        self.cookies: set[str | None] = set()
        self.connections: Counter[int] = Counter()

    @property
    def url(self) -> str:
        return f"http://application.invalid:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        server = self.server
        server.asked.append((self.headers["Host"], self.path, self.headers["User-Agent"]))
        server.cookies.add(self.headers["Cookie"])
        server.connections[self.client_address[1]] += 1
        if server.hangs:
            self.rfile.read(1)  # until the client gives up
            return
        self.send_response(server.status)
        self.send_header("Set-Cookie", "version=canary; Path=/")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def order(server: Server) -> Order:
    return Order(server.url, ("/a", "/b"), 100, AGENT, address="127.0.0.1")


def eventually(what: str, holds: Callable[[], object], within_s: float = 20) -> None:
    give_up = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < give_up, f"not in time: {what}"
        time.sleep(0.02)


def test_requests_go_out_at_their_rate_and_are_marked(server: Server, order: Order) -> None:
    lines: list[str] = []
    with sending(order, lines.append) as load:
        eventually("a first request", lambda: server.asked)
        begun, before = time.monotonic(), len(server.asked)
        eventually("200 more", lambda: len(server.asked) >= before + 200)
        took_s = time.monotonic() - begun
        assert load.keep_up() == ""
    assert 1.5 < took_s < 10, "200 requests at 100 a second"
    assert {host for host, _, _ in server.asked} == {f"application.invalid:{server.server_port}"}
    assert {path for _, path, _ in server.asked} == {"/a", "/b"}
    assert {agent for _, _, agent in server.asked} == {AGENT}
    assert server.cookies == {None}, "a cookie would tie them to one version"
    some, most = len(server.connections), server.connections.most_common(1)[0][1]
    assert some >= 5, "some are somebody new"
    assert most >= 5, "and most keep their connection"
    assert lines[0] == f"slipway sends 100 GETs a second to {server.url} itself (/a, /b), as {AGENT}"
    assert lines[1].startswith("slipway's own load has ended: ")
    assert "answered (0 with a 5xx), 0 without an answer" in lines[1]
    assert len(lines) == 2


def test_it_ends_with_the_watch(server: Server, order: Order) -> None:
    with sending(order, print):
        eventually("requests", lambda: len(server.asked) > 5)
        [pid] = pids(order)
    assert pids(order) == []
    assert pid > 0
    done = len(server.asked)
    with sending(order, print):
        eventually("only those of a second one", lambda: len(server.asked) > done)


def test_it_dies_with_whoever_watches(server: Server, order: Order) -> None:
    program = f"""
import time
from slipway.hooks.load import Load
from slipway.hooks.sender import Order
load = Load(Order.from_json({order.to_json()!r}))
load.keep_up()
time.sleep(300)
"""
    watcher = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(loads.PLUGINS)})
    try:
        eventually("requests", lambda: server.asked)
    finally:
        watcher.kill()
        watcher.wait()
    eventually("the end of the sender", lambda: not pids(order))


def test_errors_are_answers(server: Server, order: Order) -> None:
    """What an answer is worth, the judge says, by what Prometheus has of it."""
    server.status = 503
    with sending(order, print) as load:
        eventually("requests", lambda: len(server.asked) > 20)
        assert load.keep_up() == ""
    found = load.stop()
    assert found.errors == found.answered > 0


def test_a_load_that_does_not_get_through_says_so(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "SILENT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    nowhere = Order(f"http://application.invalid:{port}", order.paths, 50, AGENT, address="127.0.0.1")
    lines: list[str] = []
    with sending(nowhere, lines.append) as load:
        eventually("trouble", load.keep_up)
        said = load.keep_up()
    assert said.startswith(f"slipway's own load does not get through to {nowhere.url}: ")
    assert "requests without an answer, the last for /" in said
    assert "ConnectError" in said
    assert ", the last for /" in lines[-1]


def test_a_name_that_nobody_knows_is_trouble(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "SILENT_S", 0.5)
    load = Load(Order("http://application.invalid", order.paths, 20, AGENT))
    try:
        eventually("trouble", load.keep_up)
        assert "ConnectError" in load.keep_up()
    finally:
        load.stop()


def test_a_certificate_that_is_not_there_is_trouble(order: Order) -> None:
    load = Load(Order("https://application.invalid", order.paths, 20, AGENT, ca="/nowhere/ca.crt"))
    try:
        load.keep_up()
        eventually("the sender's last words", load.keep_up)
        said = load.keep_up()
    finally:
        load.stop()
    assert said.startswith("slipway's own load is not sent: the sender has ended with 1: ")
    assert "No such file or directory" in said


def test_a_sender_that_was_killed_is_started_again(
    server: Server, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loads, "AGAIN_S", 0.1)
    with sending(order, print) as load:
        eventually("requests", lambda: server.asked)
        [first] = pids(order)
        os.kill(first, signal.SIGKILL)
        eventually("another one", lambda: (load.keep_up(), pids(order))[1] not in ([], [first]))
        done = len(server.asked)
        eventually("requests again", lambda: len(server.asked) > done)


def test_what_cannot_be_started_is_said_and_not_raised(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    load = Load(order)
    assert load.keep_up().startswith("slipway's own load is not sent: the sender could not be started: ")
    assert load.stop() == Report()


def test_a_server_that_hangs_holds_nothing_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go on at their moments, up to a number under way; the rest is left out and counted."""
    server.hangs = True
    monkeypatch.setattr(senders, "MOST_OPEN", 20)
    monkeypatch.setattr(senders, "ANSWER_S", 0.5)
    sender = Sender(Order(server.url, ("/a",), 400, AGENT, address="127.0.0.1"))

    async def until_the_first_have_no_answer() -> Report:
        running = asyncio.create_task(sender.run())
        while sender.report.unanswered < 20 or not sender.report.left_out:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        sender.stop()
        begun = time.monotonic()
        await running
        assert time.monotonic() - begun < 0.4, "who stops does not wait for answers"
        return sender.report

    found = asyncio.run(asyncio.wait_for(until_the_first_have_no_answer(), 20))
    assert found.answered == 0
    assert 20 <= found.sent <= found.unanswered + 20, "20 at once"
    assert "Timeout" in found.problem


def test_looks_never_wait_for_it(server: Server, order: Order) -> None:
    server.hangs = True
    with sending(order, print) as load:
        eventually("requests", lambda: server.asked)
        begun = time.monotonic()
        for _ in range(100):
            load.keep_up()
        assert time.monotonic() - begun < 0.5
        begun = time.monotonic()
    assert time.monotonic() - begun < loads.STOP_S + 2, "and neither does the end"


def test_order_and_report_go_through_a_line() -> None:
    order = Order("https://a.example", ("/x y", "/'"), 0.5, AGENT, "/ca", "10.0.0.1")
    assert Order.from_json(order.to_json()) == order
    report = Report(5, 4, 3, 1, 2, 0.5, 1, "no\nanswer")
    assert "\n" not in report.to_json()
    assert Report.from_json(report.to_json()) == report
    for line in ("", "{", "[]", "3", '{"sent": 1, "other": 2}'):
        with pytest.raises(ValueError):  # noqa: PT011 - that is all it promises
            Report.from_json(line)


def pids(order: Order) -> list[int]:
    """Return the senders that live, this test's and no other's: its server's port stands in their order."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        is_warden = b"-I" in arguments
        if order.to_json().encode() in arguments and not is_warden and state != "Z":
            found.append(int(folder.name))
    return found
