"""What users met, read from the traffic's record: failed requests, exposure, time to the last bad answer. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

FIRST_ERROR = 500


@dataclass(frozen=True)
class Request:
    """One request of a user.

    :param at: when it was sent, seconds since 1970.
    :param status: of the answer, 0 when there was none.
    :param version: that answered, "" when the answer does not say.
    :param seconds: until the answer.
    """

    at: float
    status: int
    version: str
    seconds: float

    @property
    def failed(self) -> bool:
        """The user did not get what was asked for."""
        return self.status == 0 or self.status >= FIRST_ERROR or self.status == 404


@dataclass(frozen=True)
class Met:
    """What users met between two moments, from the moment on at which any version answered.

    :param early: requests before that moment: nothing was there that could have answered.
    :param exposure_s: first answer of the version to its last one; None when it never answered.
    """

    early: int
    requests: int
    failed: int
    of_version: int
    exposure_s: float | None


def read(path: Path) -> list[Request]:
    """Read a record; a line that is being written is left out."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            found.append(Request(*json.loads(line)))
        except (ValueError, TypeError):
            continue
    return sorted(found, key=lambda one: one.at)


def met(requests: Iterable[Request], begin: float, end: float, version: str) -> Met:
    """Count what users met while a version was released.

    :param begin: seconds since 1970.
    """
    asked = [one for one in requests if begin <= one.at < end]
    early = next((number for number, one in enumerate(asked) if one.version), len(asked))
    here = asked[early:]
    mine = [one for one in here if one.version == version]
    return Met(early, len(here), sum(one.failed for one in here), len(mine), _exposure(mine))


def _exposure(requests: Sequence[Request]) -> float | None:
    return requests[-1].at - requests[0].at if requests else None
