"""Writes an image of one layer as an OCI layout: the same files give the same digest, on every machine.

A builder would copy each program three times, and date it. Here 100 MB become an image in half a second,
and an unchanged one keeps its digest, so that nodes which have it need not fetch it again.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MEDIA = "application/vnd.oci.image"


@dataclass(frozen=True)
class Settings:
    """How a container of the image runs.

    :param architecture: in Go's words, ``amd64``.
    :param entrypoint: the command.
    :param user: numeric, ``uid`` or ``uid:gid``.
    :param labels: what the image says about itself.
    """

    architecture: str
    entrypoint: tuple[str, ...]
    user: str
    labels: Mapping[str, str]
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/bin"})


class Layer:
    """A layer being written: root owns everything, and everything is dated 1970.

    :param path: the uncompressed tar file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _Hashing(path.open("xb"))
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - see finish()

    def folder(self, name: str, mode: int = 0o755) -> None:
        """Add a folder.

        :param name: its path without the leading slash.
        :param mode: its permissions.
        """
        self._tar.addfile(_entry(name, tarfile.DIRTYPE, mode))

    def file(self, name: str, source: Path, mode: int = 0o644) -> None:
        """Add a file that exists.

        :param name: its path without the leading slash.
        :param source: where to read it.
        :param mode: its permissions.
        """
        entry = _entry(name, tarfile.REGTYPE, mode)
        entry.size = source.stat().st_size
        with source.open("rb") as content:
            self._tar.addfile(entry, content)

    def text(self, name: str, content: str) -> None:
        """Add a file with a text.

        :param name: its path without the leading slash.
        :param content: the text.
        """
        entry = _entry(name, tarfile.REGTYPE, 0o644)
        data = content.encode()
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link.

        :param name: its path without the leading slash.
        :param target: what it points to.
        """
        entry = _entry(name, tarfile.SYMTYPE, 0o777)
        entry.linkname = target
        self._tar.addfile(entry)

    def finish(self) -> tuple[str, int]:
        """Close the file, and return its digest and its size."""
        self._tar.close()
        self._file.close()
        return self._file.sha256.hexdigest(), self._file.size


class _Hashing(io.RawIOBase):
    """Hashes what is written on its way to the file, so that a large layer is read once and never again."""

    def __init__(self, file: IO[bytes]) -> None:
        self._under = file
        self.sha256 = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return self._under.write(data)

    def tell(self) -> int:
        return self.size

    def close(self) -> None:
        self._under.close()
        super().close()


class Layout:
    """An OCI layout with one image.

    :param folder: an empty folder, or one that does not exist.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._blobs = folder / "blobs" / "sha256"
        self._blobs.mkdir(parents=True)

    def layer(self) -> Layer:
        """Begin the layer."""
        return Layer(self._blobs / "layer")

    def finish(self, layer: Layer, settings: Settings) -> str:
        """Write everything around the layer, and return the digest of the image.

        :param layer: the layer, with all its files.
        :param settings: how the image runs.
        """
        digest, size = layer.finish()
        layer.path.rename(self._blobs / digest)
        config = self._blob(
            "config.v1+json",
            {
                "architecture": settings.architecture,
                "os": "linux",
                "config": {
                    "User": settings.user,
                    "Env": [f"{name}={value}" for name, value in settings.environment.items()],
                    "Entrypoint": list(settings.entrypoint),
                    "Labels": dict(settings.labels),
                    "WorkingDir": "/",
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            },
        )
        # Not compressed: registry and nodes share one disk, and a start waits for nodes to unpack.
        layers = [{"mediaType": f"{MEDIA}.layer.v1.tar", "digest": f"sha256:{digest}", "size": size}]
        manifest = self._blob(
            "manifest.v1+json",
            {
                "schemaVersion": 2,
                "mediaType": f"{MEDIA}.manifest.v1+json",
                "config": config,
                "layers": layers,
            },
        )
        index = {"schemaVersion": 2, "mediaType": f"{MEDIA}.index.v1+json", "manifests": [manifest]}
        (self.folder / "index.json").write_text(json.dumps(index), encoding="utf-8")
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="utf-8")
        return str(manifest["digest"])

    def _blob(self, kind: str, content: object) -> dict[str, object]:
        data = json.dumps(content, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        (self._blobs / digest).write_bytes(data)
        return {"mediaType": f"{MEDIA}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    entry.uname = entry.gname = "root"
    return entry
