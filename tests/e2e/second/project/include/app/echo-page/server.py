"""A page that says back what it is told. One file and the standard library: no database, no worker, no settings.

``python server.py`` serves; ``python server.py health`` asks the server of the same container how it is.
"""

from __future__ import annotations

import html
import json
import os
import signal
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import SplitResult, parse_qs, urlsplit

PORT = 8080
VERSION = os.environ.get("ECHO_VERSION", "0.0.0")
DRAIN_S = 5
"""How long requests are still answered after SIGTERM, while the router learns that the pod is going."""
BOUNDS_S = [0.001 * 1.25**step for step in range(40)]
"""1 ms to 6 s, each a quarter more than the one before: narrow enough for a P95."""

draining = threading.Event()


class Counted:
    """What Prometheus is told of the users' requests; probes and scrapes are none."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._codes = {200: 0, 404: 0}
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._seconds = 0.0

    def add(self, code: int, seconds: float) -> None:
        with self._lock:
            self._codes[code] += 1
            self._buckets[sum(bound < seconds for bound in BOUNDS_S)] += 1
            self._seconds += seconds

    def text(self) -> str:
        with self._lock:
            lines = ["# TYPE echo_answers_total counter"]
            lines += [f'echo_answers_total{{code="{code}"}} {count}' for code, count in self._codes.items()]
            lines.append("# TYPE echo_answer_seconds histogram")
            so_far = 0
            for bound, count in zip([*BOUNDS_S, "+Inf"], self._buckets, strict=True):
                so_far += count
                lines.append(f'echo_answer_seconds_bucket{{le="{bound}"}} {so_far}')
            lines += [f"echo_answer_seconds_sum {self._seconds}", f"echo_answer_seconds_count {so_far}"]
        return "\n".join(lines) + "\n"


counted = Counted()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/metrics":
            self._answer(200, "text/plain; version=0.0.4", counted.text())
        elif url.path == "/ready":
            self._answer(503 if draining.is_set() else 200, "text/plain", "draining" if draining.is_set() else "ready")
        else:
            started = time.monotonic()
            code = self._serve(url)
            counted.add(code, time.monotonic() - started)

    def _serve(self, url: SplitResult) -> int:
        if url.path == "/version":
            return self._answer(200, "application/json", json.dumps({"page": {"version": VERSION}}))
        if url.path == "/":
            said = html.escape(parse_qs(url.query).get("say", ["nothing"])[0])
            page = f"<title>echo {VERSION}</title><p>You say {said}.</p>\n"
            return self._answer(200, "text/html; charset=utf-8", page)
        return self._answer(404, "text/plain", "not here\n")

    def _answer(self, code: int, kind: str, text: str) -> int:
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-App-Version", VERSION)
        if draining.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        return code

    def log_message(self, *_: object) -> None:
        """Say nothing for each request."""


def serve() -> None:
    server = ThreadingHTTPServer(("", PORT), Handler)

    def drain(*_: object) -> None:
        draining.set()
        threading.Timer(DRAIN_S, server.shutdown).start()

    signal.signal(signal.SIGTERM, drain)
    print(f"echo page {VERSION} on port {PORT}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["health"]:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/ready", timeout=3)
    else:
        serve()
