"""Builds an image with buildah or Docker, as a folder whose digest is known before anything is pushed.

Between the builder and the registry the image lies in a folder of skopeo's `dir:` form: compressed layers, a
configuration, a manifest. There its configuration is normalised, so that one commit has one digest, and there the gates
and the scanner look at it. Only what they let pass is pushed, and it is pushed as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from slipway.errors import BuildError, RegistryError
from slipway.hooks.process import run
from slipway.images.facts import ImageFacts, facts_of, read_manifest
from slipway.images.normal import FILES_EPOCH, normalised
from slipway.images.source import (
    CREATED,
    EPOCH_ARG,
    REVISION,
    SOURCE_LABEL,
    VERSION,
    ImageBuild,
    Source,
    source_sha256,
    tag_for,
    timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slipway.images.address import RegistryAddress

BUILD_TIMEOUT_S = 1800.0
COPY_TIMEOUT_S = 900.0
PROBE_TIMEOUT_S = 20.0


class BuilderKind(StrEnum):
    """A program that builds images."""

    BUILDAH = "buildah"
    DOCKER = "docker"


@dataclass(frozen=True)
class BuiltImage:
    """An image in a folder, not pushed yet.

    :param folder: in skopeo's `dir:` form.
    :param facts: what it says of itself; its digest is the one it will have in the registry.
    :param tag: what it will be called there besides.
    :param elapsed_s: how long the build took, in seconds.
    """

    name: str
    folder: Path
    facts: ImageFacts
    tag: str
    elapsed_s: float


class Builder:
    """Builds with one program.

    :param kind: which.
    :param log: takes progress, line by line.
    """

    def __init__(self, kind: BuilderKind, *, log: Callable[[str], object] | None = None) -> None:
        self.kind = kind
        self._log = log

    @classmethod
    def choose(cls, wanted: BuilderKind | None = None, *, log: Callable[[str], object] | None = None) -> Builder:
        """Return the wanted builder, or the first that works here.

        :param wanted: None tries buildah, which needs no daemon, then Docker.
        :raises BuildError: it does not work here, or none does; with what each of them said.
        """
        tried: list[str] = []
        for kind in (wanted,) if wanted else BuilderKind:
            if (reason := _why_not(kind)) is None:
                return cls(kind, log=log)
            tried.append(f"{kind}: {reason}")
        raise BuildError(
            "no program here can build images",
            found="; ".join(tried),
            mend="install buildah and skopeo, or start Docker and install skopeo",
        )

    def build(
        self, image: ImageBuild, version: str, source: Source, work: Path, *, use_cache: bool = False
    ) -> BuiltImage:
        """Build an image into a folder.

        :param image: what to build.
        :param version: of the release.
        :param source: the state of its files.
        :param work: a folder that this may fill.
        :param use_cache: take layers that are in the builder's store. Quick, but one that somebody built there by hand
            has times of its own, and gives another digest.
        :raises BuildError: the build failed; with its last lines.
        """
        sha = source_sha256(image, source, version)
        tag = tag_for(version, sha)
        local = f"localhost/slipway/{image.name}:{tag}"
        completed = run(
            build_command(self.kind, image, version, source, local, use_cache=use_cache),
            timeout_s=BUILD_TIMEOUT_S,
            env=self._environment(),
            log=self._log,
            log_stdout=True,
            error=BuildError,
        ).require(
            f"the image {image.name} could not be built from {image.context / image.dockerfile}",
            error=BuildError,
            mend="read the lines above; the same by hand: scripts/build/build_images.sh "
            f"{version} --only {image.name} --no-push",
        )
        folder = work / image.name
        if folder.exists():
            shutil.rmtree(folder)  # what a killed attempt left
        transport = "containers-storage" if self.kind is BuilderKind.BUILDAH else "docker-daemon"
        self._skopeo("copy", "--quiet", "--dest-compress", f"{transport}:{local}", f"dir:{folder}", what=image.name)
        facts = normalise_folder(folder, timestamp(source.committed_at), image.name)
        return BuiltImage(image.name, folder, facts, tag, completed.elapsed_s)

    def push(self, built: BuiltImage, address: RegistryAddress) -> str:
        """Push an image as it lies in its folder, and return its digest.

        :param built: what passed the gates.
        :param address: where to.
        :raises RegistryError: the registry did not take it, or holds something else afterwards.
        """
        target = f"docker://{address.host}/{address.repository(built.name)}:{built.tag}"
        digest_file = built.folder.with_suffix(".digest")
        self._skopeo(
            "copy",
            "--quiet",
            "--preserve-digests",
            *_access("dest", address),
            f"--digestfile={digest_file}",
            f"dir:{built.folder}",
            target,
            what=f"{built.name} to {address.host}",
            error=RegistryError,
            no_proxy=address.host.partition(":")[0] if address.is_plain_http else "",
        )
        digest = digest_file.read_text(encoding="utf-8").strip()
        if digest != built.facts.digest:
            raise RegistryError(
                f"the registry {address.host} holds another image than was pushed",
                found=f"{digest}, pushed {built.facts.digest}",
                mend="do not go on with this image; look at what stands between here and the registry",
            )
        return digest

    def fetch(self, name: str, tag: str, facts: ImageFacts, address: RegistryAddress, work: Path) -> BuiltImage:
        """Bring an image from the registry into a folder, to look at it again.

        :param name: of the image.
        :param tag: its tag there.
        :param facts: what the registry says of it; it is fetched by this digest.
        :param address: where from.
        :param work: a folder that this may fill.
        :raises RegistryError: it could not be fetched.
        """
        folder = work / name
        self._skopeo(
            "copy",
            "--quiet",
            "--preserve-digests",
            *_access("src", address),
            f"docker://{address.host}/{address.repository(name)}@{facts.digest}",
            f"dir:{folder}",
            what=f"{name} from {address.host}",
            error=RegistryError,
            no_proxy=address.host.partition(":")[0] if address.is_plain_http else "",
        )
        return BuiltImage(name, folder, facts, tag, elapsed_s=0.0)

    def layout(self, built: BuiltImage, target: Path) -> Path:
        """Write the image as an OCI layout, which the scanner reads, and return the folder.

        :param target: the folder; written anew.
        :raises BuildError: it could not be written.
        """
        if target.exists():
            shutil.rmtree(target)
        self._skopeo("copy", "--quiet", f"dir:{built.folder}", f"oci:{target}", what=built.name)
        return target

    def _environment(self) -> dict[str, str]:
        env = dict(os.environ)
        if self.kind is BuilderKind.BUILDAH:
            # Where the machine is itself a container, nothing but chroot works; RUN steps need no more than that.
            env.setdefault("BUILDAH_ISOLATION", "chroot")
        return env

    def _skopeo(
        self,
        *arguments: str,
        what: str,
        error: type[BuildError | RegistryError] = BuildError,
        no_proxy: str = "",
    ) -> None:
        env = dict(os.environ)
        if no_proxy:
            known = env.get("no_proxy") or env.get("NO_PROXY")
            env["no_proxy"] = env["NO_PROXY"] = f"{known},{no_proxy}" if known else no_proxy
        run(["skopeo", *arguments], timeout_s=COPY_TIMEOUT_S, env=env, log=self._log, error=error).require(
            f"the image {what} could not be copied",
            error=error,
            mend="look at the disk's free space, and for a registry at its name, its log and the login",
        )


def build_command(
    kind: BuilderKind, image: ImageBuild, version: str, source: Source, local: str, *, use_cache: bool = False
) -> list[str]:
    """Return the command that builds an image.

    :param kind: with which program.
    :param local: name in the builder's own store.
    :param use_cache: see :meth:`Builder.build`.
    """
    known = {VERSION: version, REVISION: source.revision, CREATED: timestamp(source.committed_at)}
    facts = {argument: known[fact] for argument, fact in image.facts.items()}
    arguments = {**image.build_args, **facts, EPOCH_ARG: str(FILES_EPOCH)}
    command = [str(kind), "build", "--tag", local, "--file", str(image.context / image.dockerfile)]
    if kind is BuilderKind.BUILDAH:
        # Docker's format keeps HEALTHCHECK; a fixed time makes layers the same wherever they are made; a base image
        # that is here is taken, and one that is not is pulled.
        command += ["--format", "docker", "--layers", "--pull=false", "--timestamp", str(FILES_EPOCH)]
    if not use_cache:
        command.append("--no-cache")
    command += ["--label", f"{SOURCE_LABEL}={source_sha256(image, source, version)}"]
    for key, value in sorted(arguments.items()):
        command += ["--build-arg", f"{key}={value}"]
    return [*command, str(image.context)]


def _access(side: str, address: RegistryAddress) -> list[str]:
    """Return skopeo's options for one side of a copy."""
    options = [f"--{side}-tls-verify={str(not address.is_plain_http).lower()}"]
    return [*options, f"--{side}-authfile={address.auth_file}"] if address.auth_file else options


def normalise_folder(folder: Path, created: str, name: str) -> ImageFacts:
    """Replace the configuration of an image in a folder by the normalised one, and return what the image says.

    :param folder: in skopeo's `dir:` form: a file per blob, named by its hash.
    :param created: time of the commit, RFC 3339.
    :param name: of the image, for errors.
    """
    path = folder / "manifest.json"
    manifest = read_manifest(path.read_bytes(), name)
    old = folder / manifest.config_digest.removeprefix("sha256:")
    config = normalised(old.read_bytes(), created)
    sha = hashlib.sha256(config).hexdigest()
    data = json.loads(path.read_bytes())
    data["config"] |= {"digest": f"sha256:{sha}", "size": len(config)}
    content = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
    old.unlink()
    (folder / sha).write_bytes(config)
    path.write_bytes(content)
    return facts_of(f"sha256:{hashlib.sha256(content).hexdigest()}", read_manifest(content, name), config, name)


def _why_not(kind: BuilderKind) -> str | None:
    """Return why a builder does not work here, or None."""
    for program in (str(kind), "skopeo"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    question = ["buildah", "--version"] if kind is BuilderKind.BUILDAH else ["docker", "version", "--format", "ok"]
    answer = run(question, timeout_s=PROBE_TIMEOUT_S, error=BuildError)
    return None if answer.returncode == 0 else answer.last_words.splitlines()[-1]
