"""`slipway images`: build, gate, scan and list the contents of a release's images, as the release's DAG does."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway.errors import SlipwayError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slipway.hooks.images import MadeImage
    from slipway.hooks.trivy import Trivy
    from slipway.images.address import RegistryAddress
    from slipway.spec.environment import Environment
    from slipway.spec.release import ReleaseSpec

app = typer.Typer(help="Build, examine and push the images of a release.", no_args_is_help=True)

ROOT = Path(__file__).parents[3]
RELEASES = ROOT / "include/releases"
ENVIRONMENTS = ROOT / "include/config"
OUTPUT = Path("dist/images")
FAILED = 1

Version = Annotated[str, typer.Argument(metavar="VERSION", help="Of the release, for example 1.0.0.")]
Application = Annotated[str, typer.Option("--app", metavar="NAME", help="A file of include/releases.")]
EnvironmentName = Annotated[str, typer.Option("--env", metavar="NAME", help="A file of include/config.")]
RegistryOption = Annotated[
    str | None,
    typer.Option(metavar="HOST[:PORT]/PREFIX", help="Where to push instead; http:// before it means plain http."),
]
Only = Annotated[list[str] | None, typer.Option("--only", metavar="NAME", help="This image only; may be repeated.")]
Cache = Annotated[
    Path | None, typer.Option(envvar="TRIVY_CACHE_DIR", metavar="FOLDER", help="Where the scanner's database is.")
]


@app.command()
def build(
    version: Version,
    application: Application = "hive-platform",
    environment: EnvironmentName = "local",
    registry: RegistryOption = None,
    only: Only = None,
    push: Annotated[bool, typer.Option("--push/--no-push", help="Push what passed.")] = True,
    builder: Annotated[str | None, typer.Option(metavar="buildah|docker", help="The one that works here.")] = None,
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="For digests and lists of contents.")] = OUTPUT,
    cache: Cache = None,
) -> None:
    """Build the images, hold them against the gates, scan them, push them, and write their digests."""
    from slipway.hooks.builder import Builder, BuilderKind
    from slipway.hooks.images import Pipeline, write_digests
    from slipway.hooks.trivy import Trivy
    from slipway.images.plan import builds_of, policy_of

    with _told():
        release, where = _release(application), _environment(environment)
        wanted = None if builder is None else _kind(builder, tuple(BuilderKind))
        images = [one for one in builds_of(release, ROOT) if not only or one.name in only]
        _require_known(only or [], [one.name for one in release.images])
        pipeline = Pipeline(
            Builder.choose(BuilderKind(wanted) if wanted else None, log=_detail),
            Trivy(cache=cache),
            _address(where, application, registry),
            policy_of(where),
            output,
            push=push,
            log=_say,
        )
        made = [pipeline.make(image, version) for image in images]
        path = write_digests(made, output)
    _table(made)
    typer.echo(f"digests  {path}")


@app.command()
def inspect(
    image: Annotated[str, typer.Argument(metavar="NAME[:TAG|@DIGEST]", help="Of the release, without registry.")],
    application: Application = "hive-platform",
    environment: EnvironmentName = "local",
    registry: RegistryOption = None,
) -> None:
    """Say what the registry holds of an image: size, user, healthcheck, labels, digest."""
    from slipway.errors import RegistryError
    from slipway.hooks.registry import Registry

    name, _, digest = image.partition("@")
    name, _, tag = name.partition(":")
    with _told():
        address = _address(_environment(environment), application, registry)
        with Registry(address.host, is_plain_http=address.is_plain_http) as client:
            facts = client.inspect(address.repository(name), digest or tag or "latest")
        if facts is None:
            raise RegistryError(f"the registry {address.host} has no {address.repository(name)}:{digest or tag}")
    typer.echo(f"image        {address.pull_name(name)}@{facts.digest}")
    typer.echo(f"compressed   {facts.compressed_mb:.1f} MB in {len(facts.layers)} layers")
    typer.echo(f"user         {facts.user or 'root'}")
    typer.echo(f"healthcheck  {' '.join(facts.healthcheck.command) if facts.healthcheck else 'none'}")
    for label, value in sorted(facts.labels.items()):
        typer.echo(f"label        {label}={value}")


@app.command()
def scan(
    layout: Annotated[Path, typer.Argument(metavar="FOLDER", help="An image as an OCI layout (skopeo copy ... oci:).")],
    environment: EnvironmentName = "local",
    cache: Cache = None,
) -> None:
    """Hold an image against the vulnerability gate of an environment."""
    import tempfile
    from datetime import UTC, datetime

    from slipway.images import vulnerabilities
    from slipway.images.plan import policy_of

    with _told(), tempfile.TemporaryDirectory() as work:
        policy = policy_of(_environment(environment))
        evidence = _trivy(cache).evidence(layout, Path(work))
        judgement = vulnerabilities.judge(layout.name, evidence, policy, datetime.now(UTC))
        for event in judgement.events:
            _say(event.text)
        vulnerabilities.require(layout.name, judgement)
    typer.echo(f"{layout.name}: {judgement.word}")


@app.command()
def sbom(
    layout: Annotated[Path, typer.Argument(metavar="FOLDER", help="An image as an OCI layout (skopeo copy ... oci:).")],
    cache: Cache = None,
) -> None:
    """Print the list of what is in an image, as CycloneDX."""
    with _told():
        typer.echo(_trivy(cache).sbom(layout))


@app.command()
def lint(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Dockerfiles, charts, manifests.")],
    cache: Cache = None,
) -> None:
    """Hold configuration files against the scanner's checks; HIGH and CRITICAL findings fail."""
    from slipway.errors import GateError
    from slipway.images.reports import Severity

    with _told():
        report = _trivy(cache).misconfigurations(paths)
        for finding in report.findings:
            typer.echo(str(finding))
        bad = [one for one in report.findings if one.severity in (Severity.HIGH, Severity.CRITICAL)]
        typer.echo(f"{report.checks_run} checks on {report.files} files: {len(bad)} HIGH or CRITICAL")
        if bad:
            raise GateError(
                "the configuration does not pass",
                found="; ".join(str(one) for one in bad),
                mend="mend what the findings name",
            )


@app.command()
def database(
    mirror: Annotated[str, typer.Option("--from", metavar="REPOSITORY", help="HOST/PATH/trivy-db:2, a mirror.")],
    cache: Cache = None,
) -> None:
    """Fetch the newest vulnerability database."""
    with _told():
        found = _trivy(cache).download(mirror)
    typer.echo(f"vulnerability database of {found.updated_at:%Y-%m-%d %H:%M} UTC")


@contextmanager
def _told() -> Iterator[None]:
    """Turn an error of ours into its text and an exit code."""
    try:
        yield
    except SlipwayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None


def _release(application: str) -> ReleaseSpec:
    from slipway.spec.release import load_release

    return load_release(_file(RELEASES, application))


def _environment(name: str) -> Environment:
    from slipway.spec.environment import load_environment

    return load_environment(_file(ENVIRONMENTS, name))


def _file(folder: Path, name: str) -> Path:
    from slipway.errors import SpecError

    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise SpecError(f"there is no {name} in {folder.name}", mend=f"name one of: {', '.join(known) or 'none'}")
    return folder / f"{name}.yaml"


def _address(environment: Environment, application: str, registry: str | None) -> RegistryAddress:
    from slipway.images.address import RegistryAddress
    from slipway.images.plan import address_of

    return RegistryAddress.parse(registry) if registry else address_of(environment, application)


def _trivy(cache: Path | None) -> Trivy:
    from slipway.hooks.trivy import Trivy

    return Trivy(cache=cache)


def _kind(wanted: str, known: Sequence[str]) -> str:
    from slipway.errors import SpecError

    if wanted not in known:
        raise SpecError("no such builder", found=repr(wanted[:40]), mend=f"name one of: {', '.join(known)}")
    return wanted


def _require_known(wanted: Sequence[str], known: Sequence[str]) -> None:
    from slipway.errors import SpecError

    if unknown := sorted(set(wanted) - set(known)):
        raise SpecError(
            "the release has no such image", found=", ".join(unknown), mend=f"name one of: {', '.join(known)}"
        )


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _detail(line: str) -> None:
    typer.echo(f"  {line}", err=True)


def _table(images: Sequence[MadeImage]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("image", "size / limit, MB", "user", "healthcheck", "vulnerabilities", "", "digest"):
        table.add_column(column, overflow="fold", no_wrap=column == "digest")
    for one in images:
        how = "reused" if one.was_reused else "pushed" if one.was_pushed else "not pushed"
        table.add_row(
            f"{one.name} {one.version}",
            f"{one.compressed_mb:g} / {one.max_compressed_mb:g}" + (", stand-in base" if one.is_on_stand_in else ""),
            one.user,
            one.healthcheck,
            one.vulnerabilities,
            how,
            one.digest,
        )
    console = Console()
    # In a log, too, a digest must stand on one line, to be copied from there.
    Console(width=max(console.width, 200)).print(table)
