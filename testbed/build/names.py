"""The names of images: what people and manifests write, and where the testbed's registry keeps it."""

from __future__ import annotations

from typing import NamedTuple

from testbed.network import DOMAIN

REGISTRY = f"registry.{DOMAIN}:5000"
"""The registry under its own name, as the nodes know it."""


class ImageName(NamedTuple):
    """A place in the registry: ``library/traefik`` and ``v3.6.0``."""

    path: str
    tag: str

    def __str__(self) -> str:
        return f"{self.path}:{self.tag}"


def registry_name(name: str) -> ImageName:
    """Return where the registry keeps an image: the public name without the host, for it mirrors all.

    ``quay.io/argoproj/argo-rollouts:v1.9.1`` is ``argoproj/argo-rollouts:v1.9.1``. What has no host is Docker
    Hub's, where a name without a folder means ``library/``.

    :param name: a name with or without host and tag; a digest at its end is left away.
    """
    first, slash, rest = name.partition("@")[0].partition("/")
    on_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    path = rest if on_host else f"{first}{slash}{rest}"
    last = path.rpartition("/")[2]
    _, colon, tag = last.rpartition(":")
    path = path.removesuffix(f":{tag}") if colon else path
    hub = not on_host or first in {"docker.io", "index.docker.io"}
    return ImageName(f"library/{path}" if hub and "/" not in path else path, tag if colon else "latest")
