"""The databases: Airflow's own and the ledger, each with a role of its own, made when missing and dropped by ``down``.

A database that somebody else made is never taken, changed or dropped: ours carry a comment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from testbed.errors import StartError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import LiteralString

CONNECT_TIMEOUT_S = 5
MARK = "made by python -m runtime"
"""The comment on a database of ours."""


def place(postgres: str) -> str:
    """Return where a PostgreSQL is, as ``host:port``; never its password."""
    parts = conninfo_to_dict(postgres)
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}"


def answers(postgres: str) -> bool:
    """Say whether a PostgreSQL takes connections."""
    try:
        with psycopg.connect(postgres, connect_timeout=CONNECT_TIMEOUT_S):
            return True
    except psycopg.OperationalError:
        return False


def ensure(postgres: str, owners: Mapping[str, str]) -> list[str]:
    """Make databases, and give each an owner of the same name.

    :param postgres: address of the administrator.
    :param owners: the owner's password by name of the database.
    :return: the names of those that were missing.
    :raises StartError: PostgreSQL does not answer.
    :raises UsageError: a database of that name belongs to somebody else; nothing was changed.
    """
    try:
        connection = psycopg.connect(postgres, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.OperationalError as error:
        raise StartError(
            f"PostgreSQL on {place(postgres)} does not take connections, and Airflow keeps its state there",
            found=str(error).strip().splitlines()[-1],
            do="python -m testbed up, or SLIPWAY_RUNTIME_POSTGRES=postgresql://ADMIN:PASSWORD@HOST:5432/postgres",
        ) from error
    with connection:
        there = _marks(connection)
        for name in owners:
            if there.get(name, MARK) != MARK:
                raise UsageError(
                    f"the database {name} on {place(postgres)} was not made by this runtime, and is not touched",
                    do="choose other names: SLIPWAY_RUNTIME_SUFFIX=_2",
                )
        missing = [name for name in owners if name not in there]
        for name, password in owners.items():
            _give_role(connection, name, password)
            if name in missing:
                _run(connection, "CREATE DATABASE {name} OWNER {name} TEMPLATE template0 ENCODING 'UTF8'", name)
                _run(connection, "COMMENT ON DATABASE {name} IS {text}", name, MARK)
        return missing


def drop(postgres: str, names: Iterable[str]) -> list[str]:
    """Drop databases of ours and their roles, whoever is connected to them.

    :param postgres: address of the administrator.
    :return: the names of those that were there; None of somebody else's.
    :raises psycopg.OperationalError: PostgreSQL does not answer.
    """
    with psycopg.connect(postgres, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        there = _marks(connection)
        gone = [name for name in names if there.get(name) == MARK]
        for name in gone:
            _run(connection, "DROP DATABASE {name} WITH (FORCE)", name)
            _run(connection, "DROP ROLE IF EXISTS {name}", name)
        return gone


def _marks(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute("SELECT datname, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database")
    return {str(name): str(comment) for name, comment in rows}


def _give_role(connection: psycopg.Connection, name: str, password: str) -> None:
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    verb: LiteralString = "ALTER" if known else "CREATE"
    _run(connection, verb + " ROLE {name} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD {text}", name, password)


def _run(connection: psycopg.Connection, text: LiteralString, name: str, value: str = "") -> None:
    connection.execute(sql.SQL(text).format(name=sql.Identifier(name), text=sql.Literal(value)))
