from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from testbed.sinks.reception import Reception
from testbed.sinks.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass
class World:
    """A reception whose clock, sleep and log are in the hand of the test."""

    store: Store
    now_s: float = 1_700_000_000.0
    slept_s: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reception = Reception(self.store, clock=lambda: self.now_s, sleep=self._sleep, log=self.lines.append)

    async def _sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with closing(Store(tmp_path)) as store:
        yield World(store)
