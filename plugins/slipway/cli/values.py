"""`slipway values`: the last layer of Helm values, as the release's DAG gives it to Helm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from slipway.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Sequence

app = typer.Typer(help="The last layer of Helm values.")


@app.command()
def values(
    application: Annotated[str, typer.Argument(metavar="APP", help="A file of include/releases.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="For example 1.0.0.")],
    env: Annotated[str, typer.Option(metavar="NAME", help="A file of include/config.")],
    digest: Annotated[list[str], typer.Option(metavar="IMAGE=sha256:...", help="Of each image; repeat it.")],
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="COMPONENT=REPOSITORY@sha256:...", help="What a follower still runs; repeat it."),
    ] = None,
    first_install: Annotated[bool, typer.Option("--first-install", help="Wait at 0 pods for the migration.")] = False,
) -> None:
    """Print what goes on top of the chart's values and the overlays: settings, host, name of the Secret, images.

    For example: slipway values hive-platform 1.0.0 --env local --digest backend=sha256:... --digest frontend=sha256:...
    """
    import yaml

    from slipway.spec.catalog import Catalog
    from slipway.spec.values import ImageRef, image_refs, values_for
    from slipway.spec.version import Version

    Version(version)
    release, environment = Catalog().checked(application, env)
    refs = image_refs(release, environment, _pairs("--digest", digest), version)
    kept = {component: ImageRef.parse(text) for component, text in _pairs("--keep", keep or []).items()}
    layer = values_for(release, environment, refs, keep=kept, first_install=first_install)
    typer.echo(yaml.safe_dump(layer, sort_keys=False, allow_unicode=True), nl=False)


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read NAME=VALUE.

    :raises SpecError: something else, or the same name twice.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in pairs:
            problem = "is named twice" if name in pairs else "is not NAME=VALUE"
            raise SpecError(f"{option}: an item {problem}", mend=f"write {option} backend=sha256:... once for each")
        pairs[name] = value
    return pairs
