"""Fills a folder with images through a registry of our own that runs for as long as the filling takes."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import yaml

from testbed.build import files
from testbed.build.process import run
from testbed.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed.build.names import ImageName

START_LIMIT = 20.0
STOP_LIMIT = 10.0
COPY_LIMIT = 900.0
SWEEP_LIMIT = 300.0


def copy_storage(source: Path, target: Path) -> None:
    """Copy a storage folder.

    A registry writes each blob once and never changes it, so blobs become hard links where both folders share a file
    system. Tags and links to manifests are small files that a push overwrites in place, so they are copied.

    :param source: a whole storage folder.
    :param target: must not exist.
    """
    shutil.copytree(source, target, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    if os.path.basename(source) == "data":  # noqa: PTH119 - copytree hands over strings
        try:
            os.link(source, target)
        except OSError:
            pass  # another file system
        else:
            return
    shutil.copy2(source, target)


class Storage:
    """A registry's storage folder, and the registry that writes it.

    :param folder: the storage folder.
    :param work: a folder for the configuration, the log, and whatever is needed on the way.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.work = work
        self._address = ""

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Run the registry on a free port of the loopback.

        :raises BuildError: it does not start.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{probe.getsockname()[1]}"
        log = self.work / "registry.log"
        command = ("docker-registry", "serve", str(self._configure()))
        with log.open("wb") as output, _started(command, output) as process:
            self._wait(process, log)
            yield

    def put(self, source: str, name: ImageName) -> None:
        """Copy an image into the storage.

        :param source: where skopeo finds it: ``oci:FOLDER``, ``docker://NAME``.
        :param name: where it goes.
        :raises BuildError: the copy failed.
        """
        run(
            # Its digests preserved means its layers left as they are; else skopeo compresses them.
            (
                "skopeo",
                "copy",
                "--quiet",
                "--preserve-digests",
                "--dest-tls-verify=false",
                source,
                self._target(name),
            ),
            what=f"the image {name} could not be stored",
            timeout=COPY_LIMIT,
        )

    def keep_only(self, names: set[ImageName]) -> None:
        """Remove the images that are not named, and layers that no image has any more. Nothing may be served.

        :param names: the images that stay.
        :raises BuildError: the sweep failed.
        """
        repositories = self.folder / "docker/registry/v2/repositories"
        for tags in sorted(repositories.rglob("_manifests/tags")):
            path = str(tags.parent.parent.relative_to(repositories))
            for tag in tags.iterdir():
                if not any(name == (path, tag.name) for name in names):
                    files.remove(tag)
            if not any(tags.iterdir()):
                files.remove(tags.parent.parent)
        run(
            ("docker-registry", "garbage-collect", "--delete-untagged", str(self._configure())),
            what="the registry's storage could not be swept",
            timeout=SWEEP_LIMIT,
        )

    def _target(self, name: ImageName) -> str:
        return f"docker://{self._address}/{name}"

    def _configure(self) -> Path:
        path = self.work / "registry.yaml"
        settings = {
            "version": 0.1,
            "log": {"level": "warn"},
            "storage": {"filesystem": {"rootdirectory": str(self.folder)}, "delete": {"enabled": True}},
            "http": {"addr": self._address or "127.0.0.1:0"},
        }
        files.write(path, yaml.safe_dump(settings))
        return path

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        give_up = time.monotonic() + START_LIMIT
        while time.monotonic() < give_up and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                # The user's proxy is for the world outside, and would not find our loopback.
                httpx.get(f"http://{self._address}/v2/", timeout=2, trust_env=False)
                return
            time.sleep(0.05)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        raise BuildError(
            f"the registry that stores the images did not start on {self._address}",
            found="\n".join(lines[-5:]) or "no output",
            do="look whether docker-registry runs by hand, and whether the disk is full",
        )


@contextlib.contextmanager
def _started(command: tuple[str, ...], output: object) -> Iterator[subprocess.Popen[bytes]]:
    # Our registry sends no traces: its default is a collector that nobody runs here.
    env = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)  # type: ignore[call-overload]
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_LIMIT)
