"""Versions: Semantic Versioning 2.0.0, strictly, without build metadata, which an image's name could not carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering

from slipway.errors import SpecError
from slipway.spec.findings import may_be_secret

PATTERN = (
    r"^(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})"
    r"(-(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9][0-9]{0,8}|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?$"
)
MAX_LENGTH = 60
_COMPILED = re.compile(PATTERN.replace("$", r"\Z"))


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version with an order: 1.0.0-rc.1 is before 1.0.0.

    :param text: as it is written everywhere.
    """

    text: str

    def __post_init__(self) -> None:
        """Refuse what is no version.

        :raises SpecError: always with an example.
        """
        if not isinstance(self.text, str) or len(self.text) > MAX_LENGTH or not _COMPILED.match(self.text):
            found = repr(self.text)[:MAX_LENGTH]
            raise SpecError(
                "version: not a version",
                found="(not shown)" if may_be_secret(self.text) else found,
                mend="write MAJOR.MINOR.PATCH, for example 1.0.0 or 1.1.0-rc.1, without v and without +build",
            )

    @property
    def is_prerelease(self) -> bool:
        """Say whether it is only on the way to a version."""
        return "-" in self.text

    def __str__(self) -> str:
        return self.text

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        numbers, _, tail = self.text.partition("-")
        # A version without a tail is after all that have one; numbers are before words (semver.org, 11).
        parts = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in tail.split(".")] if tail else []
        return (*(int(part) for part in numbers.split(".")), not tail, parts)
