"""Clients with limits, and an address where the name service has none."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from slipway.hooks.web import client

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Echo(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"{self.headers['Host']} {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_name_that_nobody_knows_is_reached_at_its_address(port: int) -> None:
    """Host, and with TLS the certificate, stay those of the name."""
    with client(f"http://prometheus.nowhere.invalid:{port}", address="127.0.0.1") as web:
        assert web.get("/api").text == f"prometheus.nowhere.invalid:{port} /api"
        assert web.get("/again").text == f"prometheus.nowhere.invalid:{port} /again"


def test_the_proxy_of_the_shell_is_not_asked(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    with client(f"http://127.0.0.1:{port}") as web:
        assert web.get("/").status_code == 200


def test_every_question_has_an_end() -> None:
    with client("http://127.0.0.1:1", answer_s=4) as web:
        assert web.timeout.as_dict() == {"connect": 2.0, "read": 4, "write": 4, "pool": 4}
