"""The ledger in PostgreSQL; event loops call it in a thread.

Each call is one transaction on a connection of its own: a database that was restarted, or a process that was killed
between any two statements, leaves nothing half done. A call that failed with :class:`LedgerError` may have been
committed if the connection was lost at its very end; every operation but an `append` without a key can be repeated.
"""

from __future__ import annotations

import math
import os
import secrets
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import psycopg
from psycopg import conninfo
from psycopg.rows import DictRow, dict_row

from slipway.errors import LedgerError
from slipway.ledger import operations, reading, schema
from slipway.ledger.address import ledger_dsn
from slipway.ledger.operation import Draft, Operation, Query, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slipway.ledger.models import Event, Receipt, Record, Release, Sample
    from slipway.names import Channel, EventKind, Occasion, ReleaseState, Rule, Verdict

T = TypeVar("T")
LOOK: Final = "is PostgreSQL up, and are name and password of the connection right? Then repeat."
TABLES_MISSING: Final = "create its tables with Store.ensure, as the first task of a release does."
NOTIFIER: Final = "slipway"
ROLLBACK_TTL: Final = timedelta(minutes=3)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long the ledger may take, in seconds; a whole call no longer than :attr:`whole_s`.

    :param idle_s: after so long PostgreSQL itself ends the transaction of a process that was stopped in the middle.
    """

    connect_s: int = 3
    statement_s: float = 5
    lock_s: float = 3
    idle_s: float = 10

    @property
    def whole_s(self) -> float:
        """The longest that a call can take."""
        return self.connect_s + self.statement_s + self.lock_s


def _result(result: T | Refusal) -> T:
    if isinstance(result, Refusal):
        raise result.error
    return result


def _finite(numbers: Mapping[str, float | int | None]) -> dict[str, float | int | None]:
    """Return the numbers with "not a number", as Prometheus says it, as "not known"."""
    return {name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()}


def _suffix() -> str:
    return secrets.token_hex(2)


class Store:
    """The ledger; every call blocks, for no longer than its timeouts allow."""

    def __init__(self, dsn: str, timeouts: Timeouts | None = None) -> None:
        """Check the address; nothing is connected yet.

        :param dsn: of libpq, as URL or as pairs.
        :raises LedgerError: the address cannot be read; it is never shown.
        """
        self.timeouts = timeouts or Timeouts()
        limits = self.timeouts
        try:
            given = conninfo.conninfo_to_dict(dsn)
        except psycopg.ProgrammingError:
            raise LedgerError(
                "The address of the ledger cannot be read.", mend="give postgresql://USER@HOST:5432/NAME."
            ) from None
        options = (
            f"-c statement_timeout={int(limits.statement_s * 1000)} -c lock_timeout={int(limits.lock_s * 1000)}"
            f" -c idle_in_transaction_session_timeout={int(limits.idle_s * 1000)} -c timezone=UTC"
        )
        # The kernel's limits are for a server that vanished: its own timeouts cannot reach us then.
        self._dsn = conninfo.make_conninfo(
            dsn,
            connect_timeout=limits.connect_s,
            options=f"{given.get('options') or ''} {options}".strip(),
            application_name="slipway-ledger",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=int((limits.statement_s + 5) * 1000),
        )
        host, port = given.get("host") or "localhost", given.get("port") or 5432
        self.place = f"{host}:{port}/{given.get('dbname') or given.get('user') or ''}"

    @classmethod
    def from_environment(cls) -> Self:
        """Make a store for the address that the environment names."""
        return cls(ledger_dsn(os.environ))

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            lines = str(error).strip().splitlines()
            raise LedgerError(
                f"The ledger at {self.place} could not {doing}.",
                found=f"{type(error).__name__}: {lines[0] if lines else 'no details'}",
                mend=TABLES_MISSING if isinstance(error, psycopg.errors.UndefinedTable) else LOOK,
            ) from None

    def ensure(self) -> int:
        """Create or extend the tables; two processes may do so at once. Returns how many versions were added."""
        return self._run("be set up", schema.ensure())

    def plan(
        self, application: str, environment: str, version: str, run_id: str, *, actor: str = "slipway",
        details: Mapping[str, Any] | None = None,
    ) -> Release:  # fmt: skip
        """Write a release down in PLANNED, without the lock: for approvals and notifications before it begins.

        :param run_id: the run that carries it; the same run gets the same release.
        :param details: what the dossier shall say: change_summary, requested_by, link, ...
        :raises RefusedError: this version is promoted already, or a name does not fit.
        """
        operation = operations.plan(
            application, environment, version, run_id, suffix=_suffix(), actor=actor, details=details or {}
        )
        return self._run("plan a release", operation)

    def acquire(
        self, application: str, environment: str, version: str, run_id: str, ttl: timedelta, *,
        actor: str = "slipway", details: Mapping[str, Any] | None = None,
    ) -> Release:  # fmt: skip
        """Take the release lock of an application and environment; plans the release if that was not done.

        :param ttl: for how long the lock holds without a renewal before the watchdog comes.
        :raises RefusedError: another release is active, the version is promoted, the run has ended.
        :raises FencedError: the run's release is being taken back.
        """
        operation = operations.acquire(
            application, environment, version, run_id, ttl, suffix=_suffix(), actor=actor, details=details or {}
        )
        return self._run("give the release lock", operation)

    def renew(self, release_id: str, epoch: int, ttl: timedelta, *, actor: str = "slipway") -> Release:
        """Let the lease end `ttl` from now. :raises FencedError: somebody else has taken over."""
        return self._run("renew a lease", operations.renew(release_id, epoch, ttl, actor=actor))

    def check(self, release_id: str, epoch: int) -> Release:
        """Read the release immediately before acting. :raises FencedError: the caller may not act any more."""
        return self._run("be asked who may act", operations.check(release_id, epoch))

    def advance(
        self, release_id: str, expected_epoch: int, to_state: ReleaseState, *, actor: str = "slipway",
        payload: Mapping[str, Any] | None = None, ttl: timedelta | None = None,
    ) -> Release:  # fmt: skip
        """Go on to the next state; a retry that is there already changes nothing.

        :param payload: what the event tells beside from, to and epoch.
        :param ttl: a new lease for the phase that begins; None keeps the old one.
        :raises FencedError: somebody else has taken over.
        :raises RefusedError: the state may not follow.
        """
        operation = operations.advance(
            release_id, expected_epoch, to_state, actor=actor, payload=payload or {}, ttl=ttl
        )
        return self._run(f"advance a release to {to_state}", operation)

    def append(
        self, release_id: str, kind: EventKind, payload: Mapping[str, Any] | None = None, actor: str = "slipway", *,
        key: str | None = None, at: datetime | None = None, epoch: int | None = None,
    ) -> Event:  # fmt: skip
        """Record that something happened.

        :param key: with it a retry records nothing twice, and gets the event of the first time.
        :param at: when it happened, if not now.
        :param epoch: refuse when the caller does not hold this epoch and the lock.
        :raises RefusedError: the payload holds a secret or is not JSON; nothing was written, no secret is shown.
        """
        draft = Draft(kind, actor, payload or {}, key, at)
        return self._run("record an event", operations.append(release_id, draft, epoch=epoch))

    def record_sample(
        self, release_id: str, at: datetime, stage: str, numbers: Mapping[str, float | int | None]
    ) -> None:
        """Keep the numbers of one poll (`models.SAMPLE_NUMBERS`); counts are since the start of the stage."""
        self._run("keep a sample", operations.record_sample(release_id, at, stage, _finite(numbers)))

    def record_verdict(
        self, release_id: str, *, at: datetime, stage: str, verdict: Verdict, rule: Rule | None = None,
        reasons: Sequence[str], numbers: Mapping[str, float | int | None], actor: str = "slipway",
        epoch: int | None = None, key: str | None = None,
    ) -> Event:  # fmt: skip
        """Record a verdict, sealed with the digest of the samples of its stage up to `at`."""
        operation = operations.record_verdict(
            release_id, at=at, stage=stage, verdict=verdict, rule=rule, reasons=reasons, numbers=_finite(numbers),
            actor=actor, epoch=epoch, key=key,
        )  # fmt: skip
        return self._run("record a verdict", operation)

    def begin_rollback(
        self, release_id: str, actor: str, reason: str, *, ttl: timedelta = ROLLBACK_TTL,
        payload: Mapping[str, Any] | None = None,
    ) -> Release:  # fmt: skip
        """Decide against a release and raise its epoch; idempotent. Go back only if the result is ROLLING_BACK.

        :param ttl: how long the caller has before the watchdog takes the rollback over.
        :raises RefusedError: nothing to take back (cancel it), a newer release runs, or another one is active.
        """
        operation = operations.begin_rollback(release_id, actor=actor, reason=reason, ttl=ttl, payload=payload or {})
        return self._run("begin a rollback", operation)

    def finish_rollback(
        self, release_id: str, epoch: int, *, succeeded: bool, actor: str = "slipway",
        payload: Mapping[str, Any] | None = None,
    ) -> Release:  # fmt: skip
        """Write down that all truths were proved (ROLLED_BACK) or not (ROLLBACK_FAILED, which keeps the lock).

        :param payload: `duration_s`, `last_canary_response_s`, `budget_s`, and `reason` of a failure.
        """
        operation = operations.finish_rollback(
            release_id, epoch, succeeded=succeeded, actor=actor, payload=payload or {}
        )
        return self._run("finish a rollback", operation)

    def cancel(self, release_id: str, actor: str, reason: str) -> Release:
        """Give up a release that has touched nothing. :raises RefusedError: it has; take it back."""
        return self._run("cancel a release", operations.cancel(release_id, actor=actor, reason=reason))

    def claim_notification(self, release_id: str, occasion: Occasion, channel: Channel) -> bool:
        """Say whether the caller is to send this notification now: true once, and again after a failure."""
        return self._run("claim a notification", operations.claim_notification(release_id, occasion, channel))

    def confirm_notification(self, release_id: str, occasion: Occasion, channel: Channel, detail: str) -> None:
        """Write down that the channel took it; `detail` is the channel's own number or answer, secrets are masked."""
        operation = operations.settle_receipt(
            release_id, occasion, channel, delivered=True, detail=detail, actor=NOTIFIER
        )
        self._run("confirm a notification", operation)

    def fail_notification(self, release_id: str, occasion: Occasion, channel: Channel, error: str) -> None:
        """Write down that the channel did not take it, secrets masked; it may then be claimed again."""
        operation = operations.settle_receipt(
            release_id, occasion, channel, delivered=False, detail=error, actor=NOTIFIER
        )
        self._run("record a failed notification", operation)

    def beat(self, name: str) -> None:
        """Write down that somebody, such as the watchdog, is at work now."""
        self._run("keep a sign of life", operations.beat(name))

    def silence(self, name: str) -> timedelta | None:
        """Return how long ago somebody was at work, by the ledger's clock; None when he never was."""
        return self._run("say who is at work", operations.silence(name))

    def release(self, release_id: str) -> Release:
        """Return a release. :raises RefusedError: there is none of that id."""
        return self._run("read a release", reading.read(release_id))

    def find(self, application: str, environment: str) -> Release | None:
        """Return the active release of an application in an environment, or None."""
        return self._run("find a release", reading.find(application, environment))

    def last_promoted(self, application: str, environment: str) -> Release | None:
        """Return the release that is the stable version now, or None before the first install."""
        return self._run("find the promoted release", reading.last_promoted(application, environment))

    def recent(self, application: str | None = None, environment: str | None = None, limit: int = 20) -> list[Release]:
        """Return the newest releases, newest first."""
        return self._run("list releases", reading.recent(application, environment, limit))

    def active(self) -> list[Release]:
        """Return all releases that hold a lock, oldest first."""
        return self._run("list active releases", reading.active())

    def planned(self) -> list[Release]:
        """Return all releases that were planned and have no lock yet, oldest first."""
        return self._run("list planned releases", reading.planned())

    def orphans(self, now: datetime | None = None) -> list[Release]:
        """Return releases whose lease has run out, without those that wait for a person (ROLLBACK_FAILED).

        :param now: the moment to judge at; None is the database's clock, which no other clock can contradict.
        """
        return self._run("list orphaned releases", reading.orphans(now))

    def events(self, release_id: str) -> list[Event]:
        """Return all events of a release, oldest first."""
        return self._run("read events", reading.events(release_id))

    def samples(self, release_id: str) -> list[Sample]:
        """Return all samples of a release, oldest first."""
        return self._run("read samples", reading.samples(release_id))

    def receipts(self, release_id: str) -> list[Receipt]:
        """Return all receipts of a release, oldest first."""
        return self._run("read receipts", reading.receipts(release_id))

    def record(self, release_id: str) -> Record:
        """Return everything about a release as of one moment: what a dossier is made of."""
        return self._run("read the record of a release", reading.record(release_id))

    def _run(self, doing: str, operation: Operation[T | Refusal]) -> T:
        with (
            self._explained(doing),
            psycopg.connect(self._dsn, row_factory=dict_row) as connection,
            _bounded(connection, self.timeouts.statement_s + self.timeouts.lock_s),
        ):
            result = _drive(connection, operation)
            connection.commit()  # here, where it is bounded; leaving the connection commits nothing more
        return _result(result)


@contextmanager
def _bounded(connection: psycopg.Connection[DictRow], limit_s: float) -> Iterator[None]:
    """Hang up on a server that took the connection and then answers nothing: no timeout of its own reaches us."""
    timer = threading.Timer(limit_s, _hang_up, (connection.fileno(),))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _hang_up(handle: int) -> None:
    with socket.socket(fileno=os.dup(handle)) as connection, suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _drive(connection: psycopg.Connection[DictRow], operation: Operation[T]) -> T:
    rows: list[DictRow] | None = None
    while True:
        try:
            query: Query = next(operation) if rows is None else operation.send([*rows])
        except StopIteration as stop:
            result: T = stop.value
            return result
        cursor = connection.execute(query.sql, query.params or None)
        rows = cursor.fetchall() if cursor.description else []
