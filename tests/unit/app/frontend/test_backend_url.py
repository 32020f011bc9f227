"""BACKEND_URL switches the proxy on, and nothing that it holds becomes configuration or a command."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[4] / "include" / "app" / "frontend" / "nginx" / "40-backend-url.sh"
SHAPE = "; expected http://HOST[:PORT], for example http://backend:8000, or nothing\n"
NO_SCHEME = "does not begin with http://"
NO_HOST = "no host name, or one with characters other than letters, digits, . and -"
NO_PORT = "the port is not a number from 1 to 65535"


def run(folder: Path, url: str | None, servers: str = "nameserver 127.0.0.11\n") -> tuple[int, str, str | None]:
    """Run the script; return its exit code, what it said as an error, and the file it wrote."""
    (folder / "resolv.conf").write_text(servers, encoding="ascii")
    target = folder / "proxy.conf"
    done = subprocess.run(
        ["/bin/sh", str(SCRIPT), str(target), str(folder / "resolv.conf")],
        env={"PATH": "/usr/bin:/bin", **({} if url is None else {"BACKEND_URL": url})},
        text=True, capture_output=True, timeout=20, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr, target.read_text(encoding="ascii") if target.exists() else None


@pytest.mark.parametrize(
    ("url", "upstream"),
    [
        ("http://backend:8000", "http://backend:8000"),
        ("http://backend", "http://backend:80"),
        ("http://backend.hive.svc:8000/", "http://backend.hive.svc:8000"),
        ("http://10.1.2.3:65535", "http://10.1.2.3:65535"),
    ],
)
def test_a_good_address_is_written(tmp_path: Path, url: str, upstream: str) -> None:
    code, error, written = run(tmp_path, url, "search x\nnameserver 10.0.0.1\nnameserver fd00::1\n")
    assert (code, error) == (0, "")
    assert written
    assert f"set $backend {upstream};" in written
    assert "resolver 10.0.0.1 [fd00::1] valid=5s;" in written


@pytest.mark.parametrize("url", [None, ""])
def test_without_an_address_an_old_file_goes(tmp_path: Path, url: str | None) -> None:
    (tmp_path / "proxy.conf").write_text("location /api/ { return 200; }", encoding="ascii")
    assert run(tmp_path, url) == (0, "", None)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("backend:8000", NO_SCHEME),
        ("https://backend", NO_SCHEME),
        ("HTTP://backend", NO_SCHEME),
        ("http://", NO_HOST),
        ("http://:8000", NO_HOST),
        ("http://-backend", NO_HOST),
        ("http://backend;return 200:80", NO_HOST),
        ("http://back\nend", NO_HOST),
        ("http://$(id)", NO_HOST),
        ("http://`id`", NO_HOST),
        ("http://$host", NO_HOST),
        ("http://backend/api", NO_HOST),
        ("http://{x}", NO_HOST),
        ("http://user:secret@backend:80", NO_PORT),
        ("http://backend:", NO_PORT),
        ("http://backend:0", NO_PORT),
        ("http://backend:65536", NO_PORT),
        ("http://backend:99999999999999999999", NO_PORT),
        ("http://backend:80;}", NO_PORT),
        ("http://backend:80/api", NO_PORT),
        ("http://[::1]:80", NO_HOST),
    ],
)
def test_anything_else_is_refused_without_repeating_it(tmp_path: Path, url: str, reason: str) -> None:
    assert run(tmp_path, url) == (1, f"BACKEND_URL: {reason}{SHAPE}", None)


@pytest.mark.parametrize("servers", ["", "nameserver x;y\n", "# nameserver 10.0.0.1\n"])
def test_without_a_name_server_nothing_is_written(tmp_path: Path, servers: str) -> None:
    code, error, written = run(tmp_path, "http://backend:8000", servers)
    place = tmp_path / "resolv.conf"
    assert (code, written) == (1, None)
    assert error == f"BACKEND_URL: no name server in {place} can look its host up{SHAPE}"
