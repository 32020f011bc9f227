"""Migrations on a real PostgreSQL: from nothing, over 20,000 records, killed anywhere, two at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from app.migrate import migrate
from app.readiness import reason_of
from app.release import current_release, release_of
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import OperationalError
from waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Platform

RECORDS = 20_000
SEED = f"""
INSERT INTO clusters (name, root_url, created_at) VALUES ('c', 'file:///x', now());
INSERT INTO scan_tasks (cluster_id, status, requested_at) SELECT 1, 'success', now() FROM generate_series(1, 20);
INSERT INTO scan_records (scan_task_id, cluster_id, database_name, table_name, total_files, small_files,
    total_bytes, small_bytes, scanned_at)
SELECT 1 + n % 20, 1, 'd' || n % 7, 't' || n, n % 50, (n % 50) / 2, n * 1000, n, now()
FROM generate_series(1, {RECORDS}) AS n;
"""  # noqa: S608
BAD_ROWS = """
SELECT count(*) FROM scan_records WHERE small_file_ratio IS NULL OR avg_file_bytes IS NULL
    OR small_file_ratio <> CASE WHEN total_files > 0 THEN small_files::float8 / total_files ELSE 0 END
    OR avg_file_bytes <> CASE WHEN total_files > 0 THEN total_bytes / total_files ELSE 0 END
"""
OLD_COLUMNS = "id, scan_task_id, cluster_id, database_name, table_name, total_files, small_files, total_bytes"
FINGERPRINT = f"SELECT count(*), sum(hashtextextended(({OLD_COLUMNS})::text, 0)::numeric) FROM scan_records"  # noqa: S608


@pytest.fixture
def seeded(platform: Platform) -> Platform:
    platform.migrate("0.9.0")
    with platform.engine().begin() as connection:
        connection.execute(text(SEED))
    return platform


def one(platform: Platform, query: str) -> object:
    with platform.engine().connect() as connection:
        return connection.execute(text(query)).one()


def killed_at(platform: Platform, statement: int) -> bool:
    """Migrate in a child that is killed before its n-th statement; say whether it was."""
    child = os.fork()
    if child == 0:
        seen = 0

        def count(*_: object) -> None:
            nonlocal seen
            seen += 1
            if seen == statement:
                os.kill(os.getpid(), signal.SIGKILL)

        event.listen(Engine, "before_cursor_execute", count)
        os.environ.update(platform.environment)
        current_release.cache_clear()
        os._exit(migrate(release_of("1.0.0").schema_head))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def test_migrates_from_nothing_and_a_second_run_changes_nothing(platform: Platform) -> None:
    platform.migrate()
    platform.migrate()
    assert one(platform, "SELECT version_num FROM alembic_version") == ("0005",)
    assert one(platform, "SELECT application, environment FROM platform_identity") == (
        "hive-platform",
        "development",
    )


@pytest.mark.parametrize("version", ["0.9.0", "1.0.0"])
def test_models_and_migrations_agree(platform: Platform, version: str) -> None:
    platform.migrate(version)
    checked = platform.run("alembic", "check", APP_VERSION=version)
    if version == "1.0.0":
        assert checked.returncode == 0, checked.stdout + checked.stderr
    else:
        # Alembic's check wants the newest file; an image of 0.9.0 has it pruned away.
        assert "Target database is not up to date" in checked.stdout + checked.stderr


def test_expands_20000_records_without_changing_them(seeded: Platform) -> None:
    before = one(seeded, FINGERPRINT)
    seeded.migrate()
    assert one(seeded, BAD_ROWS) == (0,)
    assert one(seeded, FINGERPRINT) == before
    valid = "SELECT bool_and(indisvalid AND indisready) FROM pg_index"
    assert one(seeded, valid) == (True,)


def test_a_row_that_is_locked_during_its_batch_is_filled_in_the_end(seeded: Platform) -> None:
    assert seeded.run("alembic", "upgrade", "0003").returncode == 0
    with seeded.engine().connect() as writer:
        writer.execute(text("SELECT 1 FROM scan_records WHERE id = 77 FOR UPDATE"))
        migrator = seeded.start("app.migrate", PGOPTIONS="-c lock_timeout=50ms")
        wait_until(lambda: "backfill waits for a lock" in seeded.log(), 20, "the last row to be waited for")
        assert one(seeded, BAD_ROWS) == (1,), "all the others were filled meanwhile"
    assert migrator.wait(30) == 0
    assert one(seeded, BAD_ROWS) == (0,)


def test_old_version_writes_records_on_the_new_schema(seeded: Platform) -> None:
    seeded.migrate()
    with seeded.engine().begin() as connection:
        connection.execute(text(SEED.split(";")[2]))
    assert one(seeded, BAD_ROWS) == (0,)


@pytest.mark.timeout(600)
def test_killed_before_any_statement_a_rerun_heals_it(seeded: Platform) -> None:
    before = one(seeded, FINGERPRINT)
    template, statement = seeded.database, 0
    while True:
        statement += 1
        seeded.use(seeded.create_database(template))
        was_killed = killed_at(seeded, statement)
        if was_killed:
            assert not killed_at(seeded, 10**6), f"the rerun after a kill at statement {statement} failed"
        assert one(seeded, BAD_ROWS) == (0,), f"killed at statement {statement}"
        assert one(seeded, FINGERPRINT) == before
        assert one(seeded, "SELECT version_num FROM alembic_version") == ("0005",)
        seeded.admin(f"DROP DATABASE {seeded.database}")
        if not was_killed:
            break
    assert statement > 20, "too few statements were seen to believe the test"


def test_an_invalid_index_is_built_again(seeded: Platform) -> None:
    """A kill in the middle of CREATE INDEX CONCURRENTLY leaves an invalid index behind."""
    seeded.migrate()
    with seeded.engine().begin() as connection:
        broken = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_scan_records_task_ratio'::regclass"
        connection.execute(text(broken))
        connection.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    seeded.migrate()
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_scan_records_task_ratio'::regclass"
    assert one(seeded, query) == (True,)


def test_the_second_of_two_migrators_is_turned_away(seeded: Platform) -> None:
    with seeded.engine().connect() as holder:
        holder.execute(text("SELECT pg_advisory_lock(:key)"), {"key": 0x68697665})
        second = seeded.run("app.migrate")
    assert second.returncode == 75
    assert "another migrator holds the lock" in second.stdout
    assert one(seeded, "SELECT version_num FROM alembic_version") == ("0002",)
    seeded.migrate()


def test_an_old_reader_makes_the_migrator_fail_fast_and_not_everybody_wait(seeded: Platform) -> None:
    with seeded.engine().connect() as reader:
        reader.execute(text("SELECT count(*) FROM scan_records"))
        failed = seeded.run("app.migrate", PGOPTIONS="-c lock_timeout=200ms")
        assert failed.returncode == 1
        assert "lock timeout" in failed.stdout
    seeded.migrate()


def test_refuses_a_database_of_somebody_else(platform: Platform) -> None:
    with platform.engine().begin() as connection:
        connection.execute(text("CREATE TABLE invoices (id int)"))
    refused = platform.run("app.migrate")
    assert refused.returncode == 78
    line = json.loads(refused.stdout.splitlines()[-1])
    assert f"wrong database: {platform.database} holds 1 table(s) of somebody else" in line["message"]


def test_refuses_a_database_of_another_environment(platform: Platform) -> None:
    platform.migrate()
    refused = platform.run("app.migrate", APP_ENVIRONMENT="staging")
    assert refused.returncode == 78
    assert "says hive-platform in development, expected hive-platform in staging" in refused.stdout


def test_plain_alembic_in_a_pruned_tree_goes_to_the_version_s_head(platform: Platform, tmp_path: Path) -> None:
    """What the image's build does: prune, then `alembic upgrade head` equals `python -m app.migrate`."""
    copy = tmp_path / "image"
    copy.mkdir()
    subprocess.run(
        ["cp", "-r", *(str(platform.backend / n) for n in ("app", "migrations", "alembic.ini")), str(copy)], check=True
    )
    env = {**os.environ, **platform.environment, "APP_VERSION": "0.9.0"}
    for module in (["app.db.prune"], ["alembic", "upgrade", "head"]):
        subprocess.run([sys.executable, "-m", *module], cwd=copy, env=env, check=True, capture_output=True)
    assert one(platform, "SELECT version_num FROM alembic_version") == ("0002",)
    assert sorted(path.name[:4] for path in (copy / "migrations/versions").glob("*.py")) == ["0001", "0002"]


def test_offline_sql_shows_every_step_to_a_linter(platform: Platform) -> None:
    shown = platform.run("alembic", "upgrade", "0002:head", "--sql").stdout
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_scan_records_task_ratio" in shown
    assert "LIMIT 5000 FOR UPDATE SKIP LOCKED" in " ".join(shown.split())
    assert "-- repeated by the migrator until it changes no row" in shown


def test_the_database_is_addressed_by_name(platform: Platform) -> None:
    engine = create_engine(platform.url("nowhere"))
    with pytest.raises(OperationalError) as refused:
        engine.connect()
    assert "nowhere" in reason_of(refused.value)
