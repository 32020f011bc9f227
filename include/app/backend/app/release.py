"""Which version this process is, and what that version ships.

All versions are built from one tree. What tells them apart stands in one table: the schema revision a version
brings, the payload schema it writes, and its visible features. Dockerfile.prod sets APP_VERSION and removes
the migrations after the version's head (python -m app.db.prune).
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cache

from app.errors import ConfigurationError
from app.names import Feature


@dataclass(frozen=True)
class Release:
    """What one version ships.

    :param schema_head: revision that `python -m app.migrate` goes to, and the oldest that /ready accepts.
    :param payload_schema: version of the task payload this release writes; it reads every one.
    """

    version: str
    schema_head: str
    payload_schema: int
    features: frozenset[Feature]

    def has(self, feature: Feature) -> bool:
        """Say whether this version offers the feature."""
        return feature in self.features


RELEASES = (
    Release("0.9.0", schema_head="0002", payload_schema=1, features=frozenset()),
    Release("1.0.0", schema_head="0005", payload_schema=2, features=frozenset({Feature.SMALL_FILE_RATIO})),
)
"""Ascending. A version that is not listed (1.0.1) ships what the last listed one before it ships."""

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]+)?")


def release_of(version: str) -> Release:
    """Find what a version ships.

    :param version: MAJOR.MINOR.PATCH, with or without a suffix.
    :raises ConfigurationError: not such a version, or one from before the first release.
    """
    wanted = _number(version)
    fitting = [known for known in RELEASES if _number(known.version) <= wanted]
    if not fitting:
        raise ConfigurationError(
            f"APP_VERSION: {version} is older than the first release\n  expected  {RELEASES[0].version} or newer"
        )
    base = fitting[-1]
    return Release(version, base.schema_head, base.payload_schema, base.features)


@cache
def current_release() -> Release:
    """Return the release of this process: APP_VERSION, or the newest one when that is not set."""
    return release_of(os.environ.get("APP_VERSION") or RELEASES[-1].version)


def _number(version: str) -> tuple[int, ...]:
    match = _VERSION.fullmatch(version)
    if match is None:
        raise ConfigurationError(
            "APP_VERSION: not a version\n"
            f"  found     {version[:80]!r}\n"
            "  expected  MAJOR.MINOR.PATCH, for example 1.0.0"
        )
    return tuple(int(part) for part in match.groups())
