"""`slipway config`: what the files may say, and what a deployment by hand has to know of them."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated

import typer

from slipway.errors import SpecError

app = typer.Typer(help="What the configuration files may say.", no_args_is_help=True)


class Kind(StrEnum):
    """A kind of file."""

    RELEASE = "release"
    ENVIRONMENT = "environment"


@app.command()
def schema(kind: Annotated[Kind, typer.Argument(help="release or environment.")]) -> None:
    """Print the JSON Schema of a kind of file, for editors."""
    from slipway.spec.environment import Environment
    from slipway.spec.release import ReleaseSpec

    model = ReleaseSpec if kind is Kind.RELEASE else Environment
    typer.echo(json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False))


@app.command()
def guide(
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it there instead of printing it.")] = None,
) -> None:
    """Print docs/operations/configuration-guide.md, made of the schemas."""
    from slipway.spec.catalog import Catalog
    from slipway.spec.guide import render

    text = render(Catalog())
    if output is None:
        typer.echo(text, nl=False)
        return
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SpecError(f"{output}: cannot be written", found=reason, mend="name another file") from None


@app.command()
def deployment(
    application: Annotated[str, typer.Argument(metavar="APP", help="A file of include/releases.")],
    env: Annotated[str, typer.Option(metavar="NAME", help="A file of include/config.")],
) -> None:
    """Print what scripts/deploy/deploy_k8s.sh has to know, as lines of KEY=VALUE; a key may stand several times."""
    from slipway.spec.catalog import Catalog
    from slipway.spec.values import overlays

    catalog = Catalog()
    release, environment = catalog.checked(application, env)
    lines = [
        ("release_name", release.chart.release_name),
        ("chart", str(catalog.root / release.chart.path)),
        ("namespace", environment.namespace_of(application)),
        ("rollout", release.workload.rollout),
        ("timeout_s", f"{environment.helm.timeout_s:g}"),
        ("history_max", str(environment.helm.history_max)),
        *(("values", str(path)) for path in overlays(release, environment, catalog.root)),
    ]
    if environment.cluster.context is not None:
        lines.append(("context", environment.cluster.context))
    if (where := environment.cluster.kubeconfig) is not None:
        lines += [(f"kubeconfig_{key}", value) for key, value in where.model_dump().items() if value is not None]
    if release.secrets is not None:
        lines.append(("secret", release.secrets.name))
        lines += [("secret_key", key) for key in release.secrets.required(environment.kind)]
    for key, value in lines:
        typer.echo(f"{key}={value}")
