"""A small platform behind the real page: the site's files under nginx's own headers, and an API without a database."""

from __future__ import annotations

import json
import mimetypes
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

FRONTEND = Path(__file__).parents[4] / "include" / "app" / "frontend"
SITE = FRONTEND / "site"
API = "/api/v1"
FEATURES = {"0.9.0": [], "1.0.0": ["small-file-ratio"]}
MIB = 1024 * 1024


class Answer(NamedTuple):
    """What goes back to the browser."""

    status: int
    body: Any


def policy() -> str:
    """Return the Content-Security-Policy that nginx sends."""
    text = (FRONTEND / "nginx" / "nginx.conf").read_text(encoding="utf-8")
    found = re.search(r'add_header Content-Security-Policy "([^"]+)"', text)
    assert found, "nginx.conf has no Content-Security-Policy"
    return found[1]


@dataclass
class Platform:
    """The state of the fake; tests change it while the page runs.

    :param versions: answer in turn.
    :param broken: status of every API answer while it is set; 0 closes connections without one.
    """

    versions: tuple[str, ...] = ("1.0.0",)
    broken: int | None = None
    clusters: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    partitions: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    scans: list[dict[str, Any]] = field(default_factory=list)
    merges: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    _turns: Iterator[str] | None = None
    _turns_of: tuple[str, ...] = ()

    def version(self) -> str:
        """Return the version whose turn it is."""
        if self._turns is None or self._turns_of != self.versions:
            self._turns, self._turns_of = cycle(self.versions), self.versions
        return next(self._turns)

    def get(self, path: str, query: dict[str, str], version: str) -> Answer:
        """Answer a question."""
        parts = path.removeprefix(API).strip("/").split("/")
        match parts:
            case ["version"]:
                return Answer(200, {"version": version, "features": FEATURES[version], "schema_head": "0005"})
            case ["clusters"]:
                return _page(self.clusters, query)
            case ["tables"]:
                return self._tables(query, version)
            case ["tables", row, "partitions"]:
                return Answer(200, self.partitions.get(int(row), []))
            case ["scan-tasks" | "merge-tasks" as kind]:
                rows = self.scans if kind == "scan-tasks" else self.merges
                return _page(_of_cluster(sorted(rows, key=lambda row: -row["id"]), query), query)
            case ["scan-tasks", row]:
                return Answer(200, next(scan for scan in self.scans if scan["id"] == int(row)))
            case ["scan-tasks" | "merge-tasks", row, "log"]:
                return Answer(200, [{"logged_at": _iso(), "message": f"line one of {row}"}])
        return Answer(404, {"detail": "Not Found"})

    def post(self, path: str, body: dict[str, Any]) -> Answer:
        """Take an order."""
        match path.removeprefix(API):
            case "/clusters":
                if any(cluster["name"] == body["name"] for cluster in self.clusters):
                    return Answer(409, {"detail": f"a cluster named {body['name']} is there already"})
                return Answer(201, self.add_cluster(**body))
            case "/scan-tasks":
                return Answer(202, self.add_scan(body["cluster_id"], "pending"))
            case "/merge-tasks":
                return Answer(202, self.add_merge(status="pending", **body))
        return Answer(404, {"detail": "Not Found"})

    def add_cluster(self, name: str, root_url: str) -> dict[str, Any]:
        """Add a cluster that was never scanned."""
        row = {"id": len(self.clusters) + 1, "name": name, "root_url": root_url, "created_at": _iso()}
        self.clusters.append({**row, "last_scan_task_id": None})
        return self.clusters[-1]

    def add_scan(self, cluster_id: int, status: str, **facts: Any) -> dict[str, Any]:
        """Add a scan; a successful one becomes its cluster's newest."""
        row = _task(len(self.scans) + 1, cluster_id, status) | {"tables": 0, "files": 0, "small_files": 0} | facts
        self.scans.append(row)
        if status == "success":
            self.clusters[cluster_id - 1]["last_scan_task_id"] = row["id"]
        return row

    def add_merge(self, cluster_id: int, database_name: str, table_name: str, partition: str, status: str,
                  **facts: Any) -> dict[str, Any]:  # fmt: skip
        """Add a merge."""
        what = {"database_name": database_name, "table_name": table_name, "partition": partition}
        figures = {"files_before": 0, "files_after": 0, "bytes_before": 0, "bytes_after": 0, "row_count": 0}
        self.merges.append(_task(len(self.merges) + 1, cluster_id, status) | what | figures | facts)
        return self.merges[-1]

    def add_table(self, cluster_id: int, name: str, small: int, total: int, partitions: tuple[str, ...]) -> None:
        """Add a table, with its small files spread evenly over partitions."""
        database, _, table = name.partition(".")
        row_id = len(self.tables) + 1
        row = {"id": row_id, "cluster_id": cluster_id, "database_name": database, "table_name": table}
        sizes = {"total_bytes": small * MIB + (total - small) * 200 * MIB, "small_bytes": small * MIB}
        counts = {"partitions": len(partitions), "total_files": total, "small_files": small}
        self.tables.append(row | counts | sizes | {"scanned_at": _iso()})
        each = small // max(1, len(partitions))
        self.partitions[row_id] = [
            {"partition": part, "total_files": each + 2, "small_files": each,
             "total_bytes": each * MIB + 400 * MIB, "small_bytes": each * MIB}
            for part in partitions
        ]  # fmt: skip

    def _tables(self, query: dict[str, str], version: str) -> Answer:
        order = query.get("order", "small_files")
        rated = "small-file-ratio" in FEATURES[version]
        if order == "ratio" and not rated:
            return Answer(422, {"detail": f"order=ratio is not known to version {version}"})
        rows = _of_cluster(self.tables, query)
        if rated:
            rows = [
                {**row, "small_file_ratio": row["small_files"] / row["total_files"],
                 "avg_file_bytes": row["total_bytes"] // row["total_files"]}
                for row in rows
            ]  # fmt: skip
        key = {"small_files": lambda row: -row["small_files"], "name": lambda row: row["table_name"],
               "ratio": lambda row: -row["small_file_ratio"]}[order]  # fmt: skip
        return _page(sorted(rows, key=key), query)


def _of_cluster(rows: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    wanted = query.get("cluster_id")
    return [row for row in rows if wanted is None or row["cluster_id"] == int(wanted)]


def _page(rows: list[dict[str, Any]], query: dict[str, str]) -> Answer:
    limit = int(query.get("limit", "100"))
    return Answer(200, {"items": rows[:limit], "next_after": limit if len(rows) > limit else None})


def _iso(minutes_ago: float = 0) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()


def _task(row_id: int, cluster_id: int, status: str) -> dict[str, Any]:
    begun = None if status == "pending" else _iso(1)
    ended = _iso(0.5) if status in {"success", "failed"} else None
    return {
        "id": row_id, "cluster_id": cluster_id, "status": status, "requested_at": _iso(1.1), "started_at": begun,
        "finished_at": ended, "attempts": 1 if begun else 0, "version": "1.0.0" if begun else None, "error": None,
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    """Serves one request."""

    protocol_version = "HTTP/1.1"
    platform: Platform

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith(API):
            query = {key: values[-1] for key, values in parse_qs(url.query).items()}
            self._api(lambda version: self.platform.get(url.path, query, version))
            return
        self._file("index.html" if url.path == "/" else url.path.strip("/"))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._api(lambda _: self.platform.post(self.path, body))

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at Platform.asked."""

    def _api(self, answer: Any) -> None:
        with self.platform.lock:
            self.platform.asked.append(f"{self.command} {self.path}")
            if self.platform.broken == 0:
                self.close_connection = True
                return
            version = self.platform.version()
            broken = self.platform.broken
            status, body = answer(version) if broken is None else (broken, "<h1>a router's page</h1>")
        data = body.encode() if broken else json.dumps(body).encode()
        kind = "text/html" if broken else "application/json"
        self._send(status, data, kind, {} if broken else {"X-App-Version": version})

    def _file(self, path: str) -> None:
        file = (SITE / path).resolve()
        if SITE not in file.parents or not file.is_file():
            self._send(404, b"", "text/plain", {})
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        self._send(200, file.read_bytes(), kind, {"Content-Security-Policy": policy()})

    def _send(self, status: int, data: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status, HTTPStatus(status).phrase)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)


class FakeServer:
    """Serves a platform on a free port until closed."""

    def __init__(self, platform: Platform, port: int = 0) -> None:
        handler = type("Handler", (_Handler,), {"platform": platform})
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
