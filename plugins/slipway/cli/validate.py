"""`slipway validate`: every finding about release specs and environments; nothing is touched."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from slipway.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slipway.spec.catalog import Catalog
    from slipway.spec.environment import Environment
    from slipway.spec.findings import Finding
    from slipway.spec.release import ReleaseSpec

app = typer.Typer(help="Check release specs and environments.")
REFUSED = 2
Loaded = TypeVar("Loaded")


@app.command()
def validate(
    release: Annotated[str | None, typer.Argument(metavar="[RELEASE]", help="A file of include/releases.")] = None,
    env: Annotated[str | None, typer.Option(metavar="NAME", help="A file of include/config.")] = None,
) -> None:
    """Check release specs, environments, and that they fit each other, the chart and the settings' schema.

    Without arguments everything is checked, and that no environment shares anything with production. Exit code 2:
    something is refused; every finding was printed.
    """
    from slipway.spec.catalog import Catalog

    catalog = Catalog()
    tally = _Tally()
    releases = {name: tally.tried(name, catalog.release) for name in ([release] if release else catalog.releases())}
    environments = {name: tally.tried(name, catalog.environment) for name in ([env] if env else catalog.environments())}
    for spec in releases.values():
        if spec is not None:
            tally.add(f"release {spec.application}", partial(catalog.findings, spec))
            for place in environments.values():
                # Asked for by name, a pair has to fit; otherwise an environment need not have every application.
                if place is not None and ((release and env) or spec.application in place.applications):
                    tally.add(f"{spec.application} in {place.name}", partial(_pair, catalog, spec, place))
    for first, second in _to_compare(list(environments.values())):
        tally.add(f"{first.name} apart from {second.name}", partial(_isolation, first, second))
    typer.echo(f"{tally.checked} checked, {tally.refused} refused")
    if tally.refused:
        raise typer.Exit(REFUSED)


def _pair(catalog: Catalog, spec: ReleaseSpec, place: Environment) -> list[Finding]:
    alone = catalog.findings(spec)
    return [] if alone else catalog.findings(spec, place)  # what is wrong with the spec alone was already said


def _isolation(one: Environment, other: Environment) -> list[Finding]:
    from slipway.spec.checks import check_isolation

    return check_isolation(one, other)


def _to_compare(environments: list[Environment | None]) -> Iterator[tuple[Environment, Environment]]:
    from slipway.names import EnvironmentKind

    for one, other in combinations([found for found in environments if found is not None], 2):
        if one.kind is EnvironmentKind.PRODUCTION or other.kind is EnvironmentKind.PRODUCTION:
            yield (one, other) if one.kind is EnvironmentKind.PRODUCTION else (other, one)


class _Tally:
    """Counts what was checked and refused, and prints as it goes."""

    def __init__(self) -> None:
        self.checked = self.refused = 0

    def tried(self, name: str, load: Callable[[str], Loaded]) -> Loaded | None:
        """Load a file; what it says when it is refused is printed."""
        try:
            return load(name)
        except SpecError as error:
            self._refused(str(error))
            return None

    def add(self, what: str, look: Callable[[], list[Finding]]) -> None:
        """Make one check and print what it found."""
        try:
            findings = look()
        except SpecError as error:
            self._refused(str(error))
            return
        if findings:
            self._refused("\n".join([f"{what}: {len(findings)} finding(s)", *(one.render() for one in findings)]))
        else:
            self.checked += 1
            typer.echo(f"ok  {what}")

    def _refused(self, text: str) -> None:
        self.checked += 1
        self.refused += 1
        typer.echo(text)
