"""`slipway release APP VERSION`: starts the DAG `release`, and follows it if asked."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from slipway.ledger.models import Release
    from slipway.ledger.store import Store
    from slipway.spec.parameters import ReleaseParameters

app = typer.Typer(help="Release a version.")
DAG = "release"
WATCHDOG = "watchdog"
"""Without it nobody finishes a release whose run dies; the run asks for its last round, too."""
INTERRUPTED = 130


@app.command()
def release(
    application: Annotated[str, typer.Argument(metavar="APP", help="A file of include/releases.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 1.0.0.")],
    env: Annotated[str, typer.Option(metavar="NAME", help="A file of include/config.")],
    summary: Annotated[str, typer.Option(metavar="TEXT", help="What changes for users.")] = "",
    ignore_freeze: Annotated[str, typer.Option(metavar="REASON", help="Release in a freeze, because.")] = "",
    supersede: Annotated[
        str, typer.Option(metavar="REASON", help="Promote the release that bakes before its time, because.")
    ] = "",
    drill: Annotated[
        float, typer.Option(metavar="SHARE", help="Rehearsal: a version that fails this share of requests.")
    ] = 0.0,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
) -> None:
    """Release a version, by the DAG `release`.

    Airflow is asked through SLIPWAY_AIRFLOW_URL, SLIPWAY_AIRFLOW_USER and SLIPWAY_AIRFLOW_PASSWORD.
    With --watch the exit code is 0 only when the version was promoted, and 7 when it was taken back. Ctrl-C ends the
    watch, never the release.
    """
    from slipway.flow.site import Site
    from slipway.hooks.airflow import Airflow, Login
    from slipway.spec.parameters import ReleaseParameters, parse_parameters

    asked = parse_parameters(
        ReleaseParameters,
        {
            "application": application, "version": version, "environment": env, "summary": summary,
            "ignore_freeze_reason": ignore_freeze, "supersede_reason": supersede,
            "drill_error_rate": drill,
        },
    )  # fmt: skip
    site = Site.open(asked.application, asked.environment)
    run_id = f"{asked.application}-{asked.version}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    with Airflow(Login.from_environment(os.environ)) as airflow:
        store = site.ledger() if watch else None
        airflow.require_awake(WATCHDOG)
        airflow.trigger(DAG, _conf(asked), run_id)
        typer.echo(f"started  {run_id}\n         {airflow.link(DAG, run_id)}")
        if store is not None:
            _watch(airflow, store, asked, run_id)


def _conf(asked: ReleaseParameters) -> dict[str, Any]:
    return asked.model_dump(mode="json", exclude_defaults=True)


def _watch(airflow: Any, store: Store, asked: ReleaseParameters, run_id: str) -> None:
    from rich.console import Console

    from slipway.cli.live import Live, require_promoted

    def find(ledger: Store) -> Release | None:
        known = ledger.recent(asked.application, asked.environment)
        return next((found for found in known if found.run_id == run_id), None)

    live = Live(store, find, Console(highlight=False, soft_wrap=True, markup=False))
    try:
        live.follow(airflow, DAG, run_id)
    except KeyboardInterrupt:
        typer.echo(
            "not watched any more; the release goes on by itself\n"
            f"  do     slipway status {asked.application} --env {asked.environment}, or slipway rollback"
        )
        raise typer.Exit(INTERRUPTED) from None
    require_promoted(live.release, airflow.failures(DAG, run_id), airflow.link(DAG, run_id))
    typer.echo(f"{asked.application} {asked.version} is promoted in {asked.environment}")
