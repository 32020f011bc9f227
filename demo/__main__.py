"""Runs the demo: python -m demo. Testbed and Airflow have to be up; `make demo` sees to that."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from slipway.errors import SlipwayError
from slipway.flow.site import Site, state_folder
from slipway.hooks.airflow import Airflow, Login

from demo.ground import Ground
from demo.story import ACTS, Story, traffic
from demo.table import Outcome, table

console = Console(highlight=False, soft_wrap=True)
NEEDED = ("SLIPWAY_AIRFLOW_URL", "SLIPWAY_AIRFLOW_USER", "SLIPWAY_AIRFLOW_PASSWORD")
RATE = 80.0


def main(
    rate: Annotated[float, typer.Option(help="Requests a second, all the while.")] = RATE,
    only: Annotated[str, typer.Option(help="One version alone.")] = "",
) -> None:
    """Release 0.9.0, 1.0.0 and 1.0.1 of the Hive small-file platform under constant traffic."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        console.print(f'{", ".join(missing)} not set\n  do     . "$(python -m runtime env)", or make demo')
        raise typer.Exit(2)
    try:
        outcomes = _play(rate, only)
    except SlipwayError as error:
        console.print(str(error))
        raise typer.Exit(1) from None
    _sum_up(outcomes)
    raise typer.Exit(0 if all(one.as_it_should for one in outcomes) else 1)


def _play(rate: float, only: str) -> list[Outcome]:
    site = Site.open("hive-platform", "local")
    console.print(f"[bold]{site.spec.description}[/] {site.here.url}, {rate:g} requests/s all the while")
    Ground(site, lambda line: console.print(f"  {line}")).lay()
    _build(site)
    store = site.ledger()
    store.ensure()
    folder = state_folder() / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    requests = folder / f"requests-{int(time.time())}.jsonl"
    requests.touch()
    login = Login(*(os.environ[name] for name in NEEDED))
    with Airflow(login) as airflow, traffic(site, rate, requests):
        story = Story(site, airflow, store, requests, console.print)
        return [story.play(act) for act in ACTS if only in ("", act.version)]


def _build(site: Site) -> None:
    """Build all images before the clock of the first release starts; the releases recognise them."""
    from slipway.hooks.builder import Builder
    from slipway.hooks.images import Pipeline
    from slipway.hooks.trivy import Trivy
    from slipway.images.plan import address_of, build_of, policy_of, with_fault

    pipeline = Pipeline(
        Builder.choose(), Trivy(), address_of(site.environment, site.spec.application), policy_of(site.environment),
        state_folder() / "demo",
    )  # fmt: skip
    wanted = [(act, image) for act in ACTS for image in site.spec.images]
    for number, (act, image) in enumerate(wanted, start=1):
        started = time.monotonic()
        build = build_of(image, site.root)
        if act.drill and image.drill_argument:
            build = with_fault(build, image, act.drill, site.environment.kind)
        made = pipeline.make(build, act.version)
        console.print(
            f"  image {number} of {len(wanted)}: {image.name} {act.version}, {made.compressed_mb:.1f} MB, "
            f"{'was there' if made.was_reused else 'built'} in {time.monotonic() - started:.0f} s"
        )


def _sum_up(outcomes: list[Outcome]) -> None:
    console.print()
    console.print(table(outcomes))
    for one in outcomes:
        console.print(f"dossier of {one.version}   {one.dossier}")
    console.print(
        f"Airflow          {os.environ[NEEDED[0]]}   log in: {os.environ[NEEDED[1]]}, {os.environ[NEEDED[2]]}"
    )
    console.print("to end it all    make down")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    typer.run(main)
