"""Brings an image of the user's into the running testbed's registry."""

from __future__ import annotations

import json
import os
import re
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from testbed.build.names import REGISTRY, ImageName, registry_name
from testbed.build.process import call, run
from testbed.errors import UsageError

if TYPE_CHECKING:
    from testbed.network import Network

PORT = 5000
FILE_TRANSPORTS = ("docker-archive", "oci-archive", "oci", "dir")
STORE_TRANSPORTS = ("containers-storage", "docker-daemon")
DOCKER_SOCKET = Path("/var/run/docker.sock")
INSPECT_LIMIT = 60.0
COPY_LIMIT = 900.0


def push(image: str, network: Network) -> str:
    """Copy an image into the registry, and return its name there by digest, to be written into a manifest.

    :param image: a name in the storage of buildah and podman or in a Docker daemon, or what skopeo calls
        ``docker-archive:FILE``, ``oci-archive:FILE``, ``oci:FOLDER`` or ``dir:FOLDER``; or the file alone.
    :param network: the running testbed's plan of addresses.
    :raises UsageError: no testbed runs, or the image was not found; with the places that were tried.
    :raises BuildError: it was found and could not be copied.
    """
    registry = f"{network.control}:{PORT}"
    _require(registry)
    source = _find(image)
    name = target(image)
    with tempfile.TemporaryDirectory(prefix="slipway-push-") as work:
        digest = Path(work) / "digest"
        command = ("skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"--digestfile={digest}")
        places = (source, f"docker://{registry}/{name}")
        env = _without_proxy(str(network.control))
        # As it is, uncompressed from a store, is fastest (224 MB into an empty registry: 1.2 s, compressed 1.9 s);
        # an image that cannot be written as it is refuses that.
        if call((*command, "--preserve-digests", *places), timeout=COPY_LIMIT, env=env).code != 0:
            what = f"{image} could not be copied into the testbed's registry"
            run((*command, *places), what=what, timeout=COPY_LIMIT, env=env)
        return f"{REGISTRY}/{name.path}@{digest.read_text(encoding='utf-8').strip()}"


def target(image: str) -> ImageName:
    """Return where the registry will keep an image.

    :param image: see :func:`push`. A file that does not say its image's name gives it its own.
    """
    if Path(image).is_file():
        image = f"docker-archive:{image}"
    transport, _, rest = image.partition(":")
    if transport in STORE_TRANSPORTS:
        return registry_name(rest)
    if transport not in FILE_TRANSPORTS:
        return registry_name(image)
    path, _, reference = rest.partition(":")
    if transport == "docker-archive" and not reference:
        reference = _name_in_archive(Path(path))
    if "/" in reference or ":" in reference:
        return registry_name(reference)
    stem = Path(path).absolute().name.removesuffix(".gz").removesuffix(".tar").lower()
    return ImageName(re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "image", reference or "latest")


def sources(image: str) -> list[str]:
    """Return where skopeo is to look for an image, in this order.

    :param image: see :func:`push`.
    """
    if image.partition(":")[0] in (*FILE_TRANSPORTS, *STORE_TRANSPORTS):
        return [image]
    if Path(image).is_file():
        return [f"docker-archive:{image}", f"oci-archive:{image}"]
    first = image.partition("/")[0]
    has_host = "/" in image and ("." in first or ":" in first or first == "localhost")
    # buildah and podman name what they build localhost/NAME; skopeo takes a name without a host for Docker Hub's.
    names = [image] if has_host else [f"localhost/{image}", image]
    found = [f"containers-storage:{name}" for name in names]
    if DOCKER_SOCKET.exists() or "DOCKER_HOST" in os.environ:
        tagged = image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
        found.append(f"docker-daemon:{tagged}")
    return found


def _find(image: str) -> str:
    tried: list[str] = []
    for source in sources(image):
        finished = call(("skopeo", "inspect", "--raw", source), timeout=INSPECT_LIMIT)
        if finished.code == 0:
            return source
        tried.append(f"{source}: {_reason(finished.last_words)}")
    raise UsageError(
        f"the image {image} was not found",
        found="\n".join(tried),
        do="build it first (buildah build --tag NAME .), or name a file: docker-archive:FILE",
    )


def _reason(last_words: str) -> str:
    """Return the message in the last line that skopeo logged."""
    line = last_words.splitlines()[-1]
    message = re.search(r'msg="((?:[^"\\]|\\.)*)"', line)
    return message.group(1).replace('\\"', '"') if message else line


def _require(registry: str) -> None:
    try:
        httpx.get(f"http://{registry}/v2/", timeout=5, trust_env=False)
    except httpx.TransportError as error:
        raise UsageError(
            "no testbed is running whose registry could take the image",
            found=f"{registry}: {error}",
            do="python -m testbed up",
        ) from error


def _name_in_archive(path: Path) -> str:
    """Return the first name that ``docker save`` wrote into an archive, or nothing."""
    try:
        with tarfile.open(path) as archive:
            member = archive.extractfile("manifest.json")
            content = json.load(member) if member else []
    except (OSError, KeyError, ValueError, tarfile.TarError):
        return ""  # skopeo will say what is wrong with the file
    tags = content[0].get("RepoTags") if content else None
    return str(tags[0]) if tags else ""


def _without_proxy(host: str) -> dict[str, str]:
    """Return our environment with the registry excepted from the user's proxy, which could not reach it."""
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    excepted = f"{known},{host}" if known else host
    return {**os.environ, "NO_PROXY": excepted, "no_proxy": excepted}
