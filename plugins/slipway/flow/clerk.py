"""Writes into the ledger beside a watch: a ledger that hangs holds up neither the next look nor an abort."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clerk:
    """One thread that does one piece of writing at a time, in order."""

    def __init__(self) -> None:
        self._hand = ThreadPoolExecutor(1, thread_name_prefix="slipway-clerk")
        self._work: Future[None] | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a piece of writing is not done yet."""
        return self._work is not None and not self._work.done()

    def begin(self, write: Callable[[], None]) -> bool:
        """Write beside the caller.

        :return: False when the writing before it is not done: this piece is then left out.
        :raises Exception: what the writing before it raised.
        """
        if self.is_busy:
            return False
        self._result()
        self._work = self._hand.submit(write)
        return True

    def finish(self, write: Callable[[], None]) -> None:
        """Write after what is under way, and return when it is written.

        :raises Exception: what this writing raised, or the one before it; this one is left out then.
        """
        self._result()
        self._hand.submit(write).result()

    def close(self) -> None:
        """Take no more; what hangs is not waited for."""
        self._hand.shutdown(wait=False, cancel_futures=True)

    def _result(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.result()
