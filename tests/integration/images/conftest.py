"""A registry that runs for as long as the tests, and a repository with one small image in it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml

from tests.integration.vulnerabilities.building import write_debian

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCKERFILE = """FROM scratch AS build
COPY . /
FROM scratch
ARG APP_VERSION=1.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="small" \\
      org.opencontainers.image.version="${APP_VERSION}" \\
      org.opencontainers.image.revision="${REVISION}" \\
      org.opencontainers.image.created="${CREATED}" \\
      org.opencontainers.image.licenses="Apache-2.0" \\
      org.opencontainers.image.base.name="scratch"
COPY --from=build /root /
USER 10001
HEALTHCHECK CMD ["true"]
"""


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Host and port of an empty registry."""
    folder = tmp_path_factory.mktemp("registry")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    settings = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": address},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "config.yaml")],
            stdout=log,
            stderr=log,
            env={**os.environ, "OTEL_TRACES_EXPORTER": "none"},
        )
        try:
            _wait(address, folder / "log")
            yield address
        finally:
            process.terminate()
            process.wait(20)


def _wait(address: str, log: Path) -> None:
    give_up = time.monotonic() + 30
    while True:
        try:
            httpx.get(f"http://{address}/v2/", timeout=2, trust_env=False)
        except httpx.TransportError:
            assert time.monotonic() < give_up, log.read_text()
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """The folder of a small image, committed."""
    folder = tmp_path / "repository/small"
    write_debian(folder / "root")
    (folder / "Dockerfile.prod").write_text(DOCKERFILE)
    commit(folder, "One")
    return folder


def commit(folder: Path, message: str) -> None:
    """Commit a folder into a repository around it, which is made when it is not there."""
    root = folder.parent
    if not (root / ".git").exists():
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["add", "."], ["commit", "--quiet", "--message", message]):
        subprocess.run(["git", *who, *arguments], cwd=root, check=True)
