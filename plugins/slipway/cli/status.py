"""`slipway status`: what is under way, what was, and how the workload stands now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.errors import SlipwayError, SpecError

if TYPE_CHECKING:
    from slipway.ledger.models import Release

app = typer.Typer(help="What is under way.")


@app.command()
def status(
    application: Annotated[str | None, typer.Argument(metavar="[APP]", help="A file of include/releases.")] = None,
    env: Annotated[str | None, typer.Option(metavar="NAME", help="A file of include/config.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Releases to list.")] = 10,
) -> None:
    """Show what is under way, and what was.

    Active releases with lock and lease, the Rollout of each application that is named, and the newest releases.
    The ledger is that of the environment, or the one that SLIPWAY_LEDGER_DSN names.
    """
    from slipway.flow.site import ledger
    from slipway.spec.catalog import Catalog

    catalog = Catalog()
    if application is not None:
        catalog.release(application)  # an unknown name is refused, and not an empty table
    environment = catalog.environment(env) if env is not None else None
    store = ledger(environment)
    store.ensure()
    active = [
        one
        for one in store.active()
        if application in (None, one.application) and env in (None, one.environment)
    ]  # fmt: skip
    for release in active:
        typer.echo(_active(release))
    if not active:
        typer.echo("no release is under way; every lock is free")
    for name, place in _places(active, application, env, list(environment.applications) if environment else []):
        typer.echo(f"{name} in {place}: {_workload(name, place)}")
    if recent := store.recent(application, env, limit):
        typer.echo(_table(recent))


def _active(release: Release) -> str:
    from slipway.ledger.states import MEANING

    now = datetime.now(UTC)
    left_s = (release.lease_until - now).total_seconds() if release.lease_until else 0.0
    lease = f"for {left_s:.0f} s more" if left_s > 0 else f"ran out {-left_s:.0f} s ago: the watchdog finishes it"
    return (
        f"{release.id}\n"
        f"  state  {release.state}: {MEANING[release.state]}\n"
        f"  lock   held since {_moment(release.created_at)}, epoch {release.epoch}, by run {release.run_id}\n"
        f"  lease  {lease}"
    )


def _places(
    active: list[Release], application: str | None, env: str | None, applications: list[str]
) -> list[tuple[str, str]]:
    asked = [(name, env) for name in ([application] if application else applications)] if env else []
    return sorted({*asked, *((one.application, one.environment) for one in active)})


def _workload(application: str, environment: str) -> str:
    """Return how the Rollout stands; that it cannot be asked is an answer, too."""
    from slipway.flow.site import Site
    from slipway.rollouts.state import read

    try:
        with Site.open(application, environment).rollout() as (rollout, _):
            found = rollout.object()
    except SpecError:
        raise
    except SlipwayError as error:
        return f"not known: {error.what}" + (f": {error.found}" if error.found else "")
    return "not installed" if found is None else read(found).describe()


def _table(releases: list[Release]) -> str:
    """Return a table whose lines are never cut: ids are there to be copied."""
    from slipway.report.words import duration

    rows = [("release", "state", "began", "took")]
    for release in releases:
        took = (release.ended_at - release.created_at).total_seconds() if release.ended_at else None
        rows.append(
            (release.id, str(release.state), _moment(release.created_at), duration(took) if took is not None else "-")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
