"""The HTTP door of the worker and of beat: /health, /ready and /metrics on APP_METRICS_PORT."""

from __future__ import annotations

import json
import os
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

if TYPE_CHECKING:
    from app.readiness import Readiness

SILENT_TOO_LONG_S = 120


class Pulse:
    """The last sign of life of the process's main loop."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def beat(self, **_: object) -> None:
        """Give a sign of life."""
        self._at = time.monotonic()

    def is_alive(self) -> bool:
        """Say whether the last sign is young enough."""
        return time.monotonic() - self._at < SILENT_TOO_LONG_S


def open_door(port: int, readiness: Readiness, pulse: Pulse) -> ThreadingHTTPServer:
    """Serve in the background until the process ends."""
    registry = _registry()

    class Handler(BaseHTTPRequestHandler):
        server_version = "hive"
        sys_version = ""

        def do_GET(self) -> None:
            path = self.path.split("?", 1)[0]
            if path == "/health":
                alive = pulse.is_alive()
                self._answer(alive, {"status": "alive" if alive else "silent"})
            elif path == "/ready":
                problems = readiness.problems()
                self._answer(not problems, {"status": "not ready" if problems else "ready", "problems": problems})
            elif path == "/metrics":
                self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
            else:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"")

        def _answer(self, good: bool, body: dict[str, object]) -> None:
            status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
            self._send(status, "application/json", json.dumps(body).encode())

        def _send(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: a probe every few seconds is no news."""

    server = ThreadingHTTPServer(("", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="door", daemon=True).start()
    return server


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    # The multiprocess mode knows only our own series; those of the main process are added by hand.
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
