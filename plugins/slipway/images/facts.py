"""What an image says of itself: read from its manifest and its configuration, wherever they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.errors import RegistryError
from slipway.images.source import MB, SOURCE_LABEL, STAND_IN_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPRESSED_ENDINGS = ("gzip", "zstd")
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True)
class Layer:
    """One layer as it lies in the registry.

    :param media_type: says whether it is compressed.
    :param size: bytes to pull.
    """

    media_type: str
    size: int
    digest: str

    @property
    def is_compressed(self) -> bool:
        """Say whether the layer's size is a compressed one."""
        return self.media_type.endswith(COMPRESSED_ENDINGS)


@dataclass(frozen=True)
class Healthcheck:
    """The image's HEALTHCHECK.

    :param command: how it is run, for example ("CMD", "python", "-m", "app.healthcheck").
    :param interval_s: seconds between two runs; 0 where the engine's default holds.
    """

    command: tuple[str, ...]
    interval_s: float = 0.0


@dataclass(frozen=True)
class Manifest:
    """An image's manifest.

    :param media_type: OCI's or Docker's.
    :param config_digest: where its configuration is.
    """

    media_type: str
    config_digest: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class ImageFacts:
    """What the gates ask an image.

    :param digest: of its manifest: the name that goes on from here.
    :param user: as the image says it; empty is root.
    """

    digest: str
    layers: tuple[Layer, ...]
    user: str = ""
    healthcheck: Healthcheck | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    has_docker_format: bool = True

    @property
    def compressed_bytes(self) -> int:
        """Bytes that a node pulls that has none of the layers."""
        return sum(layer.size for layer in self.layers)

    @property
    def compressed_mb(self) -> float:
        """The same in 10^6 bytes."""
        return self.compressed_bytes / MB

    @property
    def is_on_stand_in(self) -> bool:
        """Say whether the base only stands in for the public image."""
        return self.labels.get(STAND_IN_LABEL) == "true"

    @property
    def source_sha256(self) -> str | None:
        """Hash of what it was made from, or None when slipway did not make it."""
        return self.labels.get(SOURCE_LABEL)


def read_manifest(content: bytes, where: str) -> Manifest:
    """Read an image's manifest.

    :param content: as the registry holds it.
    :param where: what to call it in errors.
    :raises RegistryError: it is no manifest of one image.
    """
    data = _object(content, f"the manifest of {where}")
    try:
        media_type = str(data.get("mediaType", OCI_MANIFEST))
        layers = tuple(Layer(str(one["mediaType"]), int(one["size"]), str(one["digest"])) for one in data["layers"])
        return Manifest(media_type, str(data["config"]["digest"]), layers)
    except (KeyError, TypeError, ValueError) as error:
        raise RegistryError(
            f"the manifest of {where} is not that of one image",
            found=f"{type(error).__name__}: {error}",
            mend="name an image of one platform, made in Docker's or OCI's format",
        ) from error


def facts_of(digest: str, manifest: Manifest, config: bytes, where: str) -> ImageFacts:
    """Put together what an image says of itself.

    :param digest: of the manifest.
    :param config: the image's configuration, as the registry holds it.
    :param where: what to call it in errors.
    :raises RegistryError: the configuration cannot be read.
    """
    inner = _object(config, f"the configuration of {where}").get("config") or {}
    return ImageFacts(
        digest=digest,
        layers=manifest.layers,
        user=str(inner.get("User") or ""),
        healthcheck=_healthcheck(inner.get("Healthcheck")),
        labels={str(key): str(value) for key, value in (inner.get("Labels") or {}).items()},
        has_docker_format=manifest.media_type == DOCKER_MANIFEST,
    )


def _healthcheck(data: Any) -> Healthcheck | None:
    test = tuple(str(part) for part in (data or {}).get("Test") or ())
    if not test or test[0] == "NONE":
        return None
    return Healthcheck(test, int(data.get("Interval") or 0) / 1e9)


def _object(content: bytes, what: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError as error:
        raise RegistryError(f"{what} is not JSON", found=str(error), mend="push the image again") from error
    if not isinstance(data, dict):
        raise RegistryError(f"{what} is not an object", found=type(data).__name__, mend="push the image again")
    return data
