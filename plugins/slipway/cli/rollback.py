"""`slipway rollback APP`: takes the active release back, or the promoted one; by the DAG, or without Airflow."""

from __future__ import annotations

import getpass
import logging
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slipway.flow.site import Site
    from slipway.spec.parameters import RollbackParameters

app = typer.Typer(help="Take a release back.")
DAG = "rollback"
INTERRUPTED = 130


@app.command()
def rollback(
    application: Annotated[str, typer.Argument(metavar="APP", help="A file of include/releases.")],
    env: Annotated[str, typer.Option(metavar="NAME", help="A file of include/config.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; messages and dossier say it.")],
    direct: Annotated[bool, typer.Option("--direct", help="From this process, without Airflow.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the DAG to its end.")] = False,
) -> None:
    """Take the active release back, or the promoted one.

    The DAG `rollback` is started as `slipway release` starts its own. --direct does the same in this process, which
    needs the way to cluster, ledger and Prometheus; while the ledger is away it takes the users off the canary that
    stands there, says so, and ends with 1. With --direct or --watch the exit code is 0 only when all four
    truths were proved. Without slipway: scripts/release/rollback.sh.
    """
    from slipway.flow.site import Site
    from slipway.spec.parameters import RollbackParameters, parse_parameters

    asked = parse_parameters(RollbackParameters, {"application": application, "environment": env, "reason": reason})
    site = Site.open(asked.application, asked.environment)
    if direct:
        _here(site, asked)
    else:
        _by_dag(site, asked, watch=watch)


def _here(site: Site, asked: RollbackParameters) -> None:
    from slipway.flow import without_ledger

    with _log_on_screen():
        release = without_ledger.take_back(site, actor=getpass.getuser(), reason=asked.reason)
    typer.echo(f"{release.title} is {release.state}")


def _by_dag(site: Site, asked: RollbackParameters, *, watch: bool) -> None:
    from slipway.flow.rollback import active_or_promoted
    from slipway.hooks.airflow import Airflow, Login

    run_id = f"rollback-{asked.application}-{asked.environment}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with Airflow(Login.from_environment(os.environ)) as airflow:
        store = site.ledger() if watch else None
        target = active_or_promoted(store, asked.application, asked.environment) if store else None
        airflow.trigger(DAG, asked.model_dump(mode="json"), run_id)
        typer.echo(f"started  {run_id}\n         {airflow.link(DAG, run_id)}")
        if store is None or target is None:
            return
        from rich.console import Console

        from slipway.cli.live import Live, require_back

        console = Console(highlight=False, soft_wrap=True, markup=False)
        live = Live(store, lambda ledger: ledger.release(target.id), console, after=target.last_seq)
        try:
            live.follow(airflow, DAG, run_id)
        except KeyboardInterrupt:
            typer.echo("not watched any more; the rollback goes on by itself\n  do     slipway status")
            raise typer.Exit(INTERRUPTED) from None
        require_back(live.release, airflow.failures(DAG, run_id), airflow.link(DAG, run_id))
    typer.echo(f"{target.title} is taken back, and that was proved")


@contextmanager
def _log_on_screen() -> Iterator[None]:
    """Show what the steps log, as a task's log would; HTTP clients stay silent."""
    logger = logging.getLogger("slipway")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
