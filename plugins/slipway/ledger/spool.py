"""Events of the moments in which the ledger was away: kept in a file, and replayed in order.

Traffic goes back first and is recorded after; if it cannot be recorded, it is written here, on the disk of the
machine that acted. Each event gets a key when it is spooled, so a replay that was killed half way records nothing
twice. Whoever replays takes the file aside first, so a writer never waits for a database.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from slipway.errors import LedgerError, RefusedError
from slipway.ledger import chain
from slipway.ledger.operation import Draft
from slipway.names import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from slipway.ledger.store import Store

NEW: Final = "events.jsonl"
TAKEN: Final = "taken-*.jsonl"
REFUSED: Final = "refused.jsonl"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did.

    :param recorded: events that are in the ledger now, those of an earlier replay included.
    :param refused: lines that can never be recorded (torn by a crash, of a release that the ledger does not
        know); they were moved to `refused.jsonl`.
    :param left: events that wait for the next replay, because the ledger is away.
    """

    recorded: int
    refused: int
    left: int


class Spool:
    """A folder with events that the ledger does not have yet."""

    def __init__(self, folder: Path) -> None:
        """:param folder: on a disk that outlives the process; made with mode 0700 when it is absent."""
        self.folder = folder

    def write(
        self,
        release_id: str,
        kind: EventKind,
        payload: Mapping[str, Any],
        actor: str,
        *,
        key: str | None = None,
        at: datetime | None = None,
    ) -> str:
        """Keep an event until the ledger is back; it is on the disk when this returns.

        :returns: the key under which it will be recorded.
        :raises RefusedError: the payload holds a secret or is not JSON; nothing was written.
        :raises LedgerError: the disk does not take it.
        """
        draft = Draft(kind, actor, {**payload, "spooled": True}, key or f"spool:{uuid.uuid4().hex}", at)
        line = chain.canonical(
            {
                "release_id": release_id,
                "kind": draft.kind.value,
                "actor": draft.actor,
                "payload": dict(draft.payload),
                "key": draft.key,
                "at": chain.moment(at or datetime.now(UTC)),
            }
        )
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                _add_line(self.folder / NEW, line)
        except OSError as error:
            raise LedgerError(
                f"Neither the ledger nor the spool in {self.folder} took an event ({kind}).",
                found=f"{type(error).__name__}: {error.strerror}",
                mend="make room and rights on that disk; the event is in the log of the task only.",
            ) from None
        return str(draft.key)

    def waiting(self) -> int:
        """Return how many events wait for a replay."""
        return sum(len(_lines(path)) for path in [*self._taken(), self.folder / NEW])

    def replay(self, store: Store) -> Replayed:
        """Record what waits, oldest first; stop at once when the ledger is still away.

        :raises LedgerError: the spool itself cannot be read.
        """
        if not self.folder.is_dir():
            return Replayed(0, 0, 0)
        recorded = refused = 0
        with self._locked("replay.lock"):
            self._take()
            for path in self._taken():
                lines = _lines(path)
                for line in lines:
                    try:
                        _record(store, line)
                        recorded += 1
                    except LedgerError:
                        return Replayed(recorded, refused, self.waiting())
                    except (RefusedError, ValueError, KeyError, TypeError) as error:
                        why = error.what if isinstance(error, RefusedError) else type(error).__name__
                        _add_line(self.folder / REFUSED, chain.canonical({"line": line, "why": why}))
                        refused += 1
                path.unlink()
        return Replayed(recorded, refused, self.waiting())

    def _take(self) -> None:
        with self._locked():
            new = self.folder / NEW
            if new.exists():
                new.rename(self.folder / f"taken-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.jsonl")

    def _taken(self) -> list[Path]:
        return sorted(self.folder.glob(TAKEN))

    @contextmanager
    def _locked(self, name: str = "write.lock") -> Iterator[None]:
        handle = os.open(self.folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _record(store: Store, line: str) -> None:
    found = json.loads(line)
    store.append(
        found["release_id"],
        EventKind(found["kind"]),
        found["payload"],
        found["actor"],
        key=found["key"],
        at=datetime.fromisoformat(found["at"]),
    )


def _add_line(path: Path, line: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(handle).st_size
        # Half a line of a writer that was killed must not swallow this one.
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        rest = (("\n" if torn else "") + line + "\n").encode()
        while rest:
            rest = rest[os.write(handle, rest) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # the name of a new file, too
    finally:
        os.close(folder)


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if line]
