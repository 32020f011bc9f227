"""`slipway report` on a real ledger."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
import typer
from slipway.cli.report import app
from slipway.names import ReleaseState, Rule, Verdict
from typer.testing import CliRunner

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.ledger.store import Store

RUNNER = CliRunner()


@pytest.fixture
def release_id(store: Store, place: str, database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SLIPWAY_LEDGER_DSN", database)
    release = store.acquire(place, "local", "1.0.0", "run", timedelta(minutes=5), details={"change_summary": "<b>x"})
    for state in ("BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY"):
        store.advance(release.id, 1, ReleaseState(state))
    begin = datetime.now(UTC)
    for second in range(5):
        numbers = {"canary_requests": 10 * second, "canary_errors": 2 * second, "weight": 10, "observed_share": 0.1}
        store.record_sample(release.id, begin + timedelta(seconds=second), "canary-10", numbers)
    store.record_verdict(
        release.id, at=begin + timedelta(seconds=4), stage="canary-10", verdict=Verdict.FAIL, rule=Rule.ERROR_RATE,
        reasons=["too many"], numbers={"canary_requests": 40, "canary_errors": 8},
    )  # fmt: skip
    store.begin_rollback(release.id, "slipway", "FAIL")
    store.finish_rollback(release.id, 2, succeeded=True)
    return release.id


def whole() -> typer.Typer:
    """The command as it hangs under `slipway`, beside another one."""
    slipway = typer.Typer()
    slipway.add_typer(app, name="report")
    slipway.command("other")(lambda: None)
    return slipway


def test_prints_the_dossier(release_id: str) -> None:
    done = RUNNER.invoke(whole(), ["report", release_id])
    assert done.exit_code == 0, done.output
    assert "✕ ROLLED BACK" in done.output
    assert "FAIL ERROR_RATE: too many" in done.output
    assert "| **change** | &lt;b\\>x |" in done.output


def test_writes_html_and_files(release_id: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = RUNNER.invoke(whole(), ["report", release_id, "--html", str(page), "--save", str(tmp_path / "all")])
    assert done.exit_code == 0, done.output
    assert page.read_text().count("<svg") == 1
    assert "✕ FAIL ERROR_RATE" in page.read_text()
    assert sorted(path.suffix for path in (tmp_path / "all").iterdir()) == [".html", ".md", ".svg"]
    assert done.output.splitlines()[0] == f"dossier {page}"


def test_a_broken_record_has_an_exit_code_of_its_own(release_id: str, database: str) -> None:
    with psycopg.connect(database) as direct:
        direct.execute("UPDATE ledger.samples SET numbers = '{}' WHERE release_id = %s", (release_id,))
    done = RUNNER.invoke(whole(), ["report", release_id])
    assert done.exit_code == 3
    assert "The samples of a verdict are not the ones that it was made of." in done.stderr


def test_an_unknown_release_and_an_unknown_ledger_are_named(release_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = RUNNER.invoke(whole(), ["report", "no-such"])
    assert (done.exit_code, done.stderr.splitlines()[0]) == (1, "The ledger knows no release no-such.")
    monkeypatch.delenv("SLIPWAY_LEDGER_DSN")
    monkeypatch.delenv("AIRFLOW_CONN_SLIPWAY_LEDGER", raising=False)
    done = RUNNER.invoke(whole(), ["report", release_id])
    assert (done.exit_code, done.stderr.splitlines()[0]) == (1, "The ledger's address is not known.")
