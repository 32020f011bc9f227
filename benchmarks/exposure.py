"""What users met of a bad version, read from their own record of the answers. Pure: measures and waits for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_ERROR = 500


class Answer(Protocol):
    """What became of one request; `tests.e2e.load.Answer` is one.

    `at` is when it was to be sent, in seconds since 1970, `seconds` how long the user waited from then on, and `status`
    0 when nothing came.
    """

    @property
    def at(self) -> float: ...  # noqa: D102
    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def version(self) -> str: ...  # noqa: D102
    @property
    def seconds(self) -> float: ...  # noqa: D102


@dataclass(frozen=True)
class Exposure:
    """What a version did to its users.

    :param seconds: from its first failed answer to its last answer of any kind; None when it never failed.
    :param failed: requests that failed, whoever did it.
    :param answers: of the version.
    """

    seconds: float | None
    failed: int
    answers: int


def exposure(answers: Sequence[Answer], version: str) -> Exposure:
    """Return what users met of a version."""
    mine = [one for one in answers if one.version == version]
    bad = [one.at + one.seconds for one in mine if one.status >= FIRST_ERROR]
    failed = sum(one.status == 0 or one.status >= FIRST_ERROR for one in answers)
    seconds = max(one.at + one.seconds for one in mine) - min(bad) if bad else None
    return Exposure(seconds, failed, len(mine))


def last_answer_after(answers: Sequence[Answer], version: str, moment: float) -> float:
    """Return how long after a moment a version answered last, in seconds.

    :raises ValueError: it did not answer before that moment either, or nobody asked after it: then this says nothing.
    """
    ends = [one.at + one.seconds for one in answers if one.version == version]
    if not ends or min(ends) >= moment:
        raise ValueError(f"version {version} did not serve before the moment that is looked at")
    if max(one.at for one in answers) <= max(*ends, moment):
        raise ValueError(f"nobody asked after the last answer of version {version}")
    return max(max(ends) - moment, 0.0)
