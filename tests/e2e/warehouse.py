"""A small WebHDFS server over a generated Hive warehouse: runs in a pod of its own, on port 9870.

Only the standard library, because it is mounted into the backend's image as one file: python /srv/warehouse.py FOLDER.
Like Hadoop's, the name node answers reads and writes with a redirect, here to itself.
"""

from __future__ import annotations

import json
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PORT = 9870
PREFIX = "/webhdfs/v1"
DAYS, FILES_A_DAY = 4, 12
LARGE_BYTES = 200 * 1024 * 1024


def generate(root: Path) -> None:
    """Make two tables: sales.orders with many small files, sales.archive with a large one beside two small ones."""
    for day in range(1, DAYS + 1):
        folder = root / f"sales.db/orders/day={day}"
        folder.mkdir(parents=True)
        for number in range(FILES_A_DAY):
            (folder / f"{number:06}_0").write_text(f"order {day}-{number}\n")
    archive = root / "sales.db/archive"
    archive.mkdir(parents=True)
    for number in range(2):
        (archive / f"{number:06}_0").write_text(f"old {number}\n")
    with (archive / "000002_0").open("wb") as large:
        large.truncate(LARGE_BYTES)  # a hole: it has the size and takes no disk


class WebHdfs(BaseHTTPRequestHandler):
    """The operations that the application uses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: without it each answer waits 40 ms
    root = Path()

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = self.root / parts.path.removeprefix(PREFIX).strip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = options.get("op", "").upper()
        if operation in {"OPEN", "CREATE", "APPEND"} and "data" not in options:
            self.answer(307, {}, location=f"http://{self.headers['Host']}{self.path}&data=true")
        elif operation in {"LISTSTATUS", "GETFILESTATUS", "OPEN"} and not path.exists():
            self.answer(404, {"RemoteException": {"exception": "FileNotFoundException", "message": "not there"}})
        else:
            getattr(self, f"on_{operation.lower()}")(path, options, body)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def on_liststatus(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        self.answer(200, {"FileStatuses": {"FileStatus": [status(child) for child in path.iterdir()]}})

    def on_getfilestatus(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        self.answer(200, {"FileStatus": {**status(path), "pathSuffix": ""}})

    def on_open(self, path: Path, options: dict[str, str], _body: bytes) -> None:
        with path.open("rb") as stream:
            stream.seek(int(options.get("offset", 0)))
            self.answer(200, stream.read(int(options.get("length", -1))))

    def on_create(self, path: Path, _options: dict[str, str], body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.answer(201, {})

    def on_append(self, path: Path, _options: dict[str, str], body: bytes) -> None:
        with path.open("ab") as stream:
            stream.write(body)
        self.answer(200, {})

    def on_mkdirs(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.answer(200, {"boolean": True})

    def on_rename(self, path: Path, options: dict[str, str], _body: bytes) -> None:
        path.rename(self.root / options["destination"].strip("/"))
        self.answer(200, {"boolean": True})

    def on_delete(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        there = path.exists()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        self.answer(200, {"boolean": there})

    def answer(self, code: int, body: dict[str, object] | bytes, location: str = "") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def status(path: Path) -> dict[str, object]:
    stat = path.stat()
    return {
        "type": "DIRECTORY" if path.is_dir() else "FILE",
        "length": 0 if path.is_dir() else stat.st_size,
        "modificationTime": stat.st_mtime_ns,
        "pathSuffix": path.name,
    }


def main(folder: Path) -> None:
    generate(folder / "warehouse")
    WebHdfs.root = folder
    ThreadingHTTPServer(("", PORT), WebHdfs).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
