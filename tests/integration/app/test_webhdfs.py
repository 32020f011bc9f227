"""WebHDFS over real HTTP: a small namenode that redirects to a datanode, errors, silence, refused renames."""

from __future__ import annotations

import json
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from app.errors import (
    StorageError,
    StorageMissingError,
    StorageRefusedError,
    StorageTimeoutError,
    StorageUnreachableError,
)
from app.merge.merging import Merge, MergeLimits
from app.scan.counting import count_files
from app.scan.layout import TableName
from app.storage.opening import open_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Hdfs(ThreadingHTTPServer):
    """Keeps its files in a folder; `fault` makes it misbehave."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.fault = folder, ""
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def root(self) -> str:
        return f"webhdfs://hive@127.0.0.1:{self.server_address[1]}/"


class Handler(BaseHTTPRequestHandler):
    server: Hdfs
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        parts = urlsplit(self.path)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = self.server.folder / parts.path.removeprefix("/webhdfs/v1").strip("/")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = options["op"].upper()
        if self.server.fault == "silent":
            time.sleep(3)
        if operation in {"OPEN", "CREATE", "APPEND"} and "data" not in options:
            self.answer(307, headers={"Location": f"http://{self.headers['Host']}{self.path}&data=true"})
            return
        getattr(self, f"do_{operation.lower()}_op")(path, options, body)

    do_GET = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815

    def status(self, path: Path) -> dict[str, object]:
        stat = path.stat()
        return {
            "type": "DIRECTORY" if path.is_dir() else "FILE",
            "length": 0 if path.is_dir() else stat.st_size,
            "modificationTime": stat.st_mtime_ns,
            "pathSuffix": path.name,
        }

    def do_liststatus_op(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        if not path.exists():
            self.missing()
            return
        self.answer(200, {"FileStatuses": {"FileStatus": [self.status(child) for child in path.iterdir()]}})

    def do_getfilestatus_op(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        if path.exists():
            self.answer(200, {"FileStatus": self.status(path) | {"pathSuffix": ""}})
        else:
            self.missing()

    def do_open_op(self, path: Path, options: dict[str, str], _body: bytes) -> None:
        if self.server.fault == "datanode":
            self.answer(500, {"oops": "an error page that is as long as a file"})
            return
        start = int(options.get("offset", 0))
        self.answer(200, raw=path.read_bytes()[start : start + int(options.get("length", 10**9))])

    def do_create_op(self, path: Path, _options: dict[str, str], body: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        self.answer(201)

    def do_append_op(self, path: Path, _options: dict[str, str], body: bytes) -> None:
        with path.open("ab") as stream:
            stream.write(body)
        self.answer(200)

    def do_mkdirs_op(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.answer(200, {"boolean": True})

    def do_rename_op(self, path: Path, options: dict[str, str], _body: bytes) -> None:
        moves = self.server.fault != "rename"
        if moves:
            path.rename(self.server.folder / options["destination"].strip("/"))
        self.answer(200, {"boolean": moves})

    def do_delete_op(self, path: Path, _options: dict[str, str], _body: bytes) -> None:
        there = path.exists()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        self.answer(200, {"boolean": there})

    def missing(self) -> None:
        self.answer(404, {"RemoteException": {"exception": "FileNotFoundException", "message": "no"}})

    def answer(
        self, status: int, body: object = None, raw: bytes | None = None, headers: dict[str, str] | None = None
    ) -> None:
        content = raw if raw is not None else json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def hdfs(tmp_path: Path) -> Iterator[Hdfs]:
    folder = tmp_path / "sales.db/orders/day=1"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"00000{number}_0").write_text(f"row {number}\n")
    server = Hdfs(tmp_path)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def open_it(hdfs: Hdfs, timeout_s: float = 5):
    return open_tree(hdfs.root, [hdfs.root], timeout_s)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the library's pooled connections
class TestWebHdfs:
    def test_counts_and_merges(self, hdfs: Hdfs) -> None:
        tree = open_it(hdfs)
        found = count_files(tree.files(), 100)
        assert found.tables[TableName("sales", "orders")].small_files == 4
        work = Merge(tree, "sales.db/orders/day=1", "1", MergeLimits(100, 1000, 2, 100))
        assert work.run().rows == 4
        work.finish()
        folder = hdfs.folder / "sales.db/orders/day=1"
        assert [path.name for path in folder.iterdir()] == ["merged-1-00000"]
        assert (folder / "merged-1-00000").read_text() == "row 0\nrow 1\nrow 2\nrow 3\n"

    def test_silence_is_a_timeout(self, hdfs: Hdfs) -> None:
        hdfs.fault = "silent"
        with pytest.raises(StorageTimeoutError, match="no answer in time"):
            list(open_it(hdfs, timeout_s=0.3).files())

    def test_nobody_there_is_unreachable(self) -> None:
        gone = "webhdfs://127.0.0.1:1/"
        with pytest.raises(StorageUnreachableError):
            list(open_tree(gone, [gone], 1).files())

    def test_a_datanode_s_error_page_is_never_content(self, hdfs: Hdfs) -> None:
        hdfs.fault = "datanode"
        tree = open_it(hdfs)
        with pytest.raises(StorageUnreachableError), tree.reader("sales.db/orders/day=1/000000_0") as stream:
            stream.read()

    def test_a_refused_rename_is_noticed(self, hdfs: Hdfs) -> None:
        hdfs.fault = "rename"
        with pytest.raises(StorageError, match="is not there afterwards"):
            open_it(hdfs).rename("sales.db/orders/day=1/000000_0", "sales.db/orders/day=1/x")

    def test_a_missing_folder_is_missing(self, hdfs: Hdfs) -> None:
        with pytest.raises(StorageMissingError):
            list(open_it(hdfs).files("nowhere"))

    def test_no_path_leads_out_of_the_tree(self, hdfs: Hdfs) -> None:
        with pytest.raises(StorageRefusedError):
            open_it(hdfs).stat("../etc/passwd")
