"""The tables of the ledger: created and brought up to date by whoever comes first.

Privileges: the owner of the database runs `ensure` once. What works with the ledger afterwards needs no more than
:data:`GRANTS` gives; it can then neither change nor delete an event, even with SQL of its own, and `ensure` under
it only reads the version. The trigger stops the owner, too, as long as he does not drop it, which the chain shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from slipway.errors import LedgerError
from slipway.ledger.operation import Query
from slipway.ledger.states import ENDED
from slipway.names import ReleaseState

if TYPE_CHECKING:
    from slipway.ledger.operation import Operation

LOCK: Final = 0x51_1B_3A_7E
"""Key of the advisory lock under which the schema changes: two processes may start at once."""

_STATES: Final = ", ".join(f"'{state}'" for state in ReleaseState)
_ENDED: Final = ", ".join(f"'{state}'" for state in sorted(ENDED))

# A version, once released, is never edited: what changes is a version more.
VERSIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        f"""
        CREATE TABLE ledger.releases (
            id           text PRIMARY KEY,
            application  text NOT NULL,
            version      text NOT NULL,
            environment  text NOT NULL,
            run_id       text NOT NULL,
            state        text NOT NULL CHECK (state IN ({_STATES})),
            epoch        integer NOT NULL DEFAULT 1 CHECK (epoch >= 1),
            lease_until  timestamptz,
            previous     text REFERENCES ledger.releases (id),
            created_at   timestamptz NOT NULL,
            updated_at   timestamptz NOT NULL,
            ended_at     timestamptz,
            last_seq     integer NOT NULL DEFAULT 0,
            last_hash    text NOT NULL,
            UNIQUE (application, environment, run_id),
            -- A lease is the lock. Planned releases wait without one; ended ones have given it back.
            CHECK (CASE WHEN state IN ({_ENDED}) THEN lease_until IS NULL
                        ELSE state = 'PLANNED' OR lease_until IS NOT NULL END),
            CHECK ((state IN ({_ENDED})) = (ended_at IS NOT NULL))
        )
        """,
        """
        CREATE UNIQUE INDEX one_active_release ON ledger.releases (application, environment)
        WHERE lease_until IS NOT NULL
        """,
        "CREATE INDEX releases_newest ON ledger.releases (application, environment, created_at DESC)",
        """
        CREATE TABLE ledger.events (
            release_id  text NOT NULL REFERENCES ledger.releases (id),
            seq         integer NOT NULL CHECK (seq >= 1),
            at          timestamptz NOT NULL,
            actor       text NOT NULL,
            kind        text NOT NULL,
            payload     json NOT NULL,  -- json and not jsonb: the hash covers the text as it was written
            key         text,
            hash        text NOT NULL CHECK (hash ~ '^[0-9a-f]{64}$'),
            PRIMARY KEY (release_id, seq)
        )
        """,
        "CREATE UNIQUE INDEX events_once ON ledger.events (release_id, key) WHERE key IS NOT NULL",
        """
        CREATE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'ledger.events is append-only: % is refused', TG_OP
                USING ERRCODE = 'integrity_constraint_violation';
        END $$
        """,
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger.events
        FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()
        """,
        """
        CREATE TRIGGER append_only_whole BEFORE TRUNCATE ON ledger.events
        FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()
        """,
        """
        CREATE TABLE ledger.samples (
            release_id  text NOT NULL REFERENCES ledger.releases (id),
            at          timestamptz NOT NULL,
            stage       text NOT NULL,
            numbers     json NOT NULL,
            PRIMARY KEY (release_id, at, stage)
        )
        """,
        """
        CREATE TABLE ledger.receipts (
            release_id  text NOT NULL REFERENCES ledger.releases (id),
            occasion    text NOT NULL,
            channel     text NOT NULL,
            state       text NOT NULL CHECK (state IN ('claimed', 'delivered', 'failed')),
            attempts    integer NOT NULL CHECK (attempts >= 1),
            claimed_at  timestamptz NOT NULL,
            settled_at  timestamptz,
            detail      text,
            PRIMARY KEY (release_id, occasion, channel)
        )
        """,
    ),
    ("CREATE TABLE ledger.heartbeats (name text PRIMARY KEY, at timestamptz NOT NULL)",),
)

GRANTS: Final[tuple[str, ...]] = (
    "GRANT USAGE ON SCHEMA ledger TO {role}",
    "GRANT SELECT ON ledger.version TO {role}",
    "GRANT SELECT, INSERT, UPDATE ON ledger.releases, ledger.receipts, ledger.heartbeats TO {role}",
    "GRANT SELECT, INSERT ON ledger.events, ledger.samples TO {role}",
)
"""What a role needs that works with the ledger, as statements with a place for its (quoted) name."""


def version() -> Operation[int]:
    """Return the version of the tables, 0 when there are none."""
    rows = yield Query("SELECT to_regclass('ledger.version') IS NOT NULL AS there")
    if not rows[0]["there"]:
        return 0
    rows = yield Query("SELECT coalesce(max(version), 0) AS version FROM ledger.version")
    return int(rows[0]["version"])


def ensure() -> Operation[int]:
    """Create or extend the tables, and return how many versions were added.

    The lock comes before the first look: PostgreSQL caches that a table is absent, and a connection that looked
    before it waited would not see what was created meanwhile.

    :raises LedgerError: the ledger is newer than this slipway.
    """
    yield Query("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    present = yield from version()
    if present > len(VERSIONS):
        raise LedgerError(
            "The ledger was made by a newer slipway; nothing was changed.",
            found=f"schema {present}, known here up to {len(VERSIONS)}",
            mend="upgrade slipway here.",
        )
    if present == 0:
        yield Query("CREATE SCHEMA IF NOT EXISTS ledger")
        yield Query("CREATE TABLE IF NOT EXISTS ledger.version (version integer PRIMARY KEY, at timestamptz NOT NULL)")
    for number, statements in enumerate(VERSIONS[present:], start=present + 1):
        for statement in statements:
            yield Query(statement)
        yield Query("INSERT INTO ledger.version VALUES (%s, clock_timestamp())", (number,))
    return len(VERSIONS) - present
