"""What the tables themselves refuse, whatever program writes to them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from slipway.errors import LedgerError
from slipway.ledger import chain
from slipway.ledger.schema import GRANTS, VERSIONS
from slipway.ledger.store import Store
from slipway.names import Channel, EventKind, Occasion, ReleaseState

from .conftest import SERVER

if TYPE_CHECKING:
    from collections.abc import Iterator

TTL = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("UPDATE ledger.events SET actor = 'eve' WHERE release_id = %s", "UPDATE"),
        ("DELETE FROM ledger.events WHERE release_id = %s", "DELETE"),
        ("TRUNCATE ledger.events", "TRUNCATE"),
    ],
)
def test_events_cannot_be_changed(store: Store, database: str, place: str, statement: str, verb: str) -> None:
    release = store.plan(place, "local", "1.0.0", "run")
    with (
        psycopg.connect(database) as direct,
        pytest.raises(psycopg.errors.IntegrityConstraintViolation, match=f"append-only: {verb} is refused"),
    ):
        direct.execute(statement, (release.id,) if "%s" in statement else None)
    assert len(store.events(release.id)) == 1


def test_who_removes_the_guard_is_found_out_by_the_chain(store: Store, database: str, place: str) -> None:
    release = store.acquire(place, "local", "1.0.0", "run", TTL)
    store.append(release.id, EventKind.WAIVED, {"what": "scan"})
    with psycopg.connect(database) as direct:
        direct.execute("ALTER TABLE ledger.events DISABLE TRIGGER append_only")
        direct.execute(
            'UPDATE ledger.events SET payload = \'{"what":"nothing"}\' WHERE release_id = %s AND seq = 3',
            (release.id,),
        )
        direct.execute("ALTER TABLE ledger.events ENABLE TRIGGER append_only")
    assert str(chain.verify(store.events(release.id))) == "event 3 was changed, or an event before it was"


@pytest.mark.parametrize(
    "change",
    ["state = 'CANARY', lease_until = NULL", "state = 'PROMOTED'", "state = 'LOST'", "epoch = 0",
     "state = 'PROMOTED', lease_until = NULL"],
)  # fmt: skip
def test_a_release_cannot_be_in_a_state_without_sense(store: Store, database: str, place: str, change: str) -> None:
    release = store.acquire(place, "local", "1.0.0", "run", TTL)
    with psycopg.connect(database) as direct, pytest.raises(psycopg.errors.CheckViolation):
        direct.execute(sql.SQL("UPDATE ledger.releases SET {} WHERE id = %s").format(sql.SQL(change)), (release.id,))


def test_a_newer_ledger_is_left_alone() -> None:
    name = f"ledger_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            store = Store(f"{SERVER}/{name}")
            assert store.ensure() == len(VERSIONS)
            with psycopg.connect(f"{SERVER}/{name}") as direct:
                direct.execute("INSERT INTO ledger.version VALUES (%s, now())", (len(VERSIONS) + 1,))
            with pytest.raises(LedgerError) as error:
                store.ensure()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert str(error.value) == (
        "The ledger was made by a newer slipway; nothing was changed.\n"
        f"  found  schema {len(VERSIONS) + 1}, known here up to {len(VERSIONS)}\n"
        "  do     upgrade slipway here."
    )


@pytest.fixture
def least(store: Store, database: str) -> Iterator[Store]:
    """The ledger for a role with no more than the documented privileges."""
    role = f"ledger_test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'test'").format(sql.Identifier(role)))
        for grant in GRANTS:
            admin.execute(sql.SQL(grant).format(role=sql.Identifier(role)))
        yield Store(database.replace("postgres:testbed@", f"{role}:test@"))
        admin.execute(sql.SQL("DROP OWNED BY {0}").format(sql.Identifier(role)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


def test_the_documented_privileges_are_enough_and_no_more(least: Store, place: str) -> None:
    assert least.ensure() == 0
    least.beat("watchdog")
    least.beat("watchdog")
    release = least.acquire(place, "local", "1.0.0", "run", TTL)
    least.advance(release.id, 1, ReleaseState.BUILT)
    least.claim_notification(release.id, Occasion.STARTED, Channel.SLACK)
    least.confirm_notification(release.id, Occasion.STARTED, Channel.SLACK, "ok")
    least.begin_rollback(release.id, "ada", "x")
    least.finish_rollback(release.id, 2, succeeded=True)
    assert least.record(release.id).release.state is ReleaseState.ROLLED_BACK
    with psycopg.connect(least._dsn) as direct:
        for statement in (
            "DELETE FROM ledger.events", "UPDATE ledger.events SET actor = ''", "TRUNCATE ledger.events",
            "ALTER TABLE ledger.events DISABLE TRIGGER ALL", "DELETE FROM ledger.releases", "DROP TABLE ledger.samples",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege), direct.transaction():
                direct.execute(statement)
