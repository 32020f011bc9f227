"""What an image is made from, and the names that follow from it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING

from slipway.errors import SpecError
from slipway.spec.version import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

SOURCE_LABEL = "dev.slipway.source"
"""SHA-256 of all that an image is made from: what `already there` is recognised by."""
STAND_IN_LABEL = "dev.slipway.stand-in"
"""Set on a base image that only stands in for a public one, and inherited from it."""

VERSION = "version"
REVISION = "revision"
CREATED = "created"
FACTS = {"APP_VERSION": VERSION, "REVISION": REVISION, "CREATED": CREATED}
"""What build arguments are given where the release says nothing else."""
EPOCH_ARG = "SOURCE_DATE_EPOCH"

MB = 1_000_000
_NAME = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")
_TAG_HASH_LENGTH = 12


@dataclass(frozen=True)
class ImageBuild:
    """One image of a release.

    :param name: last part of the repository, for example `backend`.
    :param context: the folder that the builder sees.
    :param dockerfile: the Dockerfile, from the context.
    :param facts: build arguments that are given the version, the revision or the commit's time, by name.
    :param build_args: the other build arguments.
    :param max_compressed_mb: the sum of the compressed layers must stay below this, in 10^6 bytes.
    :param user: the numeric user that the image must run as; None admits any that is not root.
    :param has_healthcheck: the image must say how its health is asked.
    """

    name: str
    context: Path
    dockerfile: str = "Dockerfile.prod"
    build_args: Mapping[str, str] = field(default_factory=dict)
    max_compressed_mb: float = 500
    user: str | None = None
    facts: Mapping[str, str] = field(default_factory=lambda: FACTS)
    has_healthcheck: bool = True

    def __post_init__(self) -> None:
        """Refuse what would build something else than it says.

        :raises SpecError: a name no registry takes, or a build argument that slipway sets itself.
        """
        if not _NAME.fullmatch(self.name):
            raise SpecError(
                "the image's name is not one that a registry takes",
                found=repr(self.name[:80]),
                mend="use lower case letters, digits, and single dots, underscores or dashes between them",
            )
        if reserved := {EPOCH_ARG, *self.facts} & self.build_args.keys():
            raise SpecError(
                f"the image {self.name} sets build arguments that are slipway's own",
                found=", ".join(sorted(reserved)),
                mend="leave them out: version, revision and time come from the release and from git",
            )
        if unknown := {*self.facts.values()} - {VERSION, REVISION, CREATED}:
            raise SpecError(
                f"the image {self.name} gives build arguments what nobody knows",
                found=", ".join(sorted(unknown)),
                mend=f"give them {VERSION}, {REVISION} or {CREATED}",
            )


@dataclass(frozen=True)
class Source:
    """The state of an image's source.

    :param revision: the last commit that touched the context; `-dirty` follows when files differ from it.
    :param committed_at: when that commit was made; aware.
    :param content_sha256: hash of every file of the context, see :func:`content_sha256`.
    """

    revision: str
    committed_at: datetime
    content_sha256: str

    @property
    def is_dirty(self) -> bool:
        """Say whether the files differ from the commit."""
        return self.revision.endswith("-dirty")


def content_sha256(files: Iterable[tuple[str, str, bytes]]) -> str:
    """Return one hash of a set of files; their order does not matter.

    :param files: path from the context, kind (`file`, `program` or `link`), and content or the link's target.
    """
    total = hashlib.sha256()
    for path, kind, content in sorted(files):
        for part in (path.encode(), kind.encode(), content):
            total.update(len(part).to_bytes(8, "big"))
            total.update(part)
    return total.hexdigest()


def source_sha256(build: ImageBuild, source: Source, version: str) -> str:
    """Return the hash of all that decides what an image holds, its base excepted.

    :param build: the image.
    :param source: the state of its source.
    :param version: the release's version.
    """
    parts = [build.name, build.dockerfile, version, source.revision, source.content_sha256]
    parts += [f"{key}={value}" for key, value in sorted({**build.facts, **build.build_args}.items())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def tag_for(version: str, source_sha: str) -> str:
    """Return the image's tag. It names one source for ever, so it is never written twice.

    :param version: the release's version.
    :param source_sha: see :func:`source_sha256`.
    :raises SpecError: not a version.
    """
    return f"{Version(version).text}-{source_sha[:_TAG_HASH_LENGTH]}"


def timestamp(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, to the second, as labels carry it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
