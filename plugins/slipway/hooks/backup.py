"""Backs a PostgreSQL database up, restores it beside, and compares both under one snapshot."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from slipway.errors import DatabaseError
from slipway.hooks.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

    from slipway.flow.credentials import Login

DUMP_S = 3600
MANIFEST = "manifest.json"
SCRATCH_PREFIX = "slipway_restore_"


@dataclass(frozen=True)
class Fingerprint:
    """What one table holds.

    :param rows: number of rows.
    :param hash: sum and exclusive or of the hashes of all rows, in whatever order they lie.
    """

    rows: int
    hash: str


@dataclass(frozen=True)
class Backup:
    """A backup on a disk.

    :param tables: name of each table -> what it held in the snapshot that was dumped.
    :param files: name of each file -> SHA-256.
    """

    folder: Path
    database: str
    server: str
    seconds: float
    size_bytes: int
    tables: dict[str, Fingerprint]
    files: dict[str, str]


class Backups:
    """Backups of one database.

    :param login: a reader of it; a scratch database needs the right to create databases.
    :param address: IP address for the host, where DNS has none.
    """

    def __init__(self, login: Login, *, address: str | None = None, log: Callable[[str], object]) -> None:
        self._login = login
        self._address = address
        self._log = log

    def take(self, folder: Path) -> Backup:
        """Dump the database and write its manifest; a finished one in the folder is taken as it is.

        :raises DatabaseError: the server or pg_dump refused; nothing half done stays in the folder.
        """
        if (folder / MANIFEST).is_file():
            self._log(f"backup is there already: {folder}")
            return read_manifest(folder)
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        started = time.monotonic()
        with self._connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            snapshot = _one(connection, "SELECT pg_export_snapshot()")
            server = _one(connection, "SHOW server_version")
            self._pg(
                ["pg_dump", "--format=directory", "--no-owner", "--no-acl", f"--snapshot={snapshot}",
                 f"--file={partial}"],
                "pg_dump failed",
            )  # fmt: skip
            tables = fingerprints(connection)
        files = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
        made = Backup(
            folder, str(self._login.schema), server, round(time.monotonic() - started, 2),
            sum(path.stat().st_size for path in partial.iterdir()), tables, files,
        )  # fmt: skip
        (partial / MANIFEST).write_text(_text(made), encoding="utf-8")
        partial.rename(folder)
        rows = sum(table.rows for table in tables.values())
        self._log(
            f"backup of {made.database}: {len(tables)} tables, {rows:,} rows, {made.size_bytes:,} bytes, "
            f"{made.seconds:.1f} s"
        )
        return made

    def verify(self, backup: Backup) -> float:
        """Check the files, restore them into a scratch database, compare it, and drop it; return the seconds.

        :raises DatabaseError: a file, a table or a row differs.
        """
        started = time.monotonic()
        for name, expected in backup.files.items():
            try:
                found = _sha256(backup.folder / name)
            except OSError as error:
                found = error.strerror or type(error).__name__
            if found != expected:
                raise DatabaseError(
                    f"{backup.folder / name} is not what was written", found=found, mend="take a new backup"
                )
        with self._scratch() as scratch:
            self._pg(
                ["pg_restore", "--no-owner", "--no-acl", "--exit-on-error", f"--dbname={scratch}", str(backup.folder)],
                "the backup does not restore",
                database=scratch,
            )
            with self._connection(scratch) as connection:
                restored = fingerprints(connection)
        differing = [
            f"{name}: {backup.tables.get(name)} became {restored.get(name)}"
            for name in sorted(backup.tables.keys() | restored.keys())
            if backup.tables.get(name) != restored.get(name)
        ]
        if differing:
            raise DatabaseError("the restored backup differs from the database", found="; ".join(differing))
        seconds = time.monotonic() - started
        self._log(f"restored and compared: {len(restored)} tables are equal row by row, {seconds:.1f} s")
        return seconds

    @contextmanager
    def _scratch(self) -> Iterator[str]:
        from psycopg import sql

        name = f"{SCRATCH_PREFIX}{os.getpid()}_{time.monotonic_ns()}"
        with self._connection() as connection:
            connection.autocommit = True
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            try:
                yield name
            finally:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _connection(self, database: str | None = None) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        import psycopg

        try:
            with psycopg.connect(
                host=self._login.host, hostaddr=self._address, port=self._login.port or 5432, user=self._login.user,
                password=self._login.password, dbname=database or self._login.schema, connect_timeout=5,
                application_name="slipway-backup", options="-c timezone=UTC -c extra_float_digits=3",
            ) as connection:  # fmt: skip
                yield connection
        except psycopg.Error as error:
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise DatabaseError(
                f"PostgreSQL at {self._login.host}: {database or self._login.schema} could not be read", found=words[0]
            ) from None

    def _pg(self, argv: list[str], what: str, *, database: str | None = None) -> None:
        login = self._login
        environment = {
            **os.environ,
            "PGHOST": login.host or "", "PGPORT": str(login.port or 5432), "PGUSER": login.user or "",
            "PGDATABASE": database or login.schema or "", "PGPASSWORD": login.password or "", "PGCONNECT_TIMEOUT": "5",
            **({"PGHOSTADDR": self._address} if self._address else {}),
        }  # fmt: skip
        done = run(
            argv, timeout_s=DUMP_S, env=environment, log=self._log, secrets=[login.password or ""], error=DatabaseError
        )
        done.require(what, error=DatabaseError)


def fingerprints(connection: psycopg.Connection[tuple[object, ...]]) -> dict[str, Fingerprint]:
    """Return what each table of a database holds."""
    from psycopg import sql

    names = connection.execute(
        "SELECT schemaname, tablename FROM pg_tables"
        " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
    ).fetchall()
    found = {}
    for schema, table in names:
        row = connection.execute(
            sql.SQL(
                "SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text || ':' "
                "|| coalesce(bit_xor(hashtextextended(t::text, 0)), 0)::text FROM {} t"
            ).format(sql.Identifier(str(schema), str(table)))
        ).fetchone()
        if row is not None:
            found[f"{schema}.{table}"] = Fingerprint(int(str(row[0])), str(row[1]))
    return found


def read_manifest(folder: Path) -> Backup:
    """Return the backup in a folder."""
    found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    tables = {name: Fingerprint(**table) for name, table in found.pop("tables").items()}
    return Backup(folder=folder, tables=tables, **found)


def _text(backup: Backup) -> str:
    content = asdict(backup)
    del content["folder"]
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _one(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> str:
    row = connection.execute(statement.encode()).fetchone()
    if row is None:
        raise DatabaseError(f"no answer to {statement}")
    return str(row[0])


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
