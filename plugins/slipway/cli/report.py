"""`slipway report ID`: the dossier of a release, from the ledger alone."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotation
from typing import Annotated

import typer

from slipway.errors import SlipwayError

app = typer.Typer(help="The dossier of a release.")

BROKEN = 3
"""Exit code when the record does not hold: the dossier is written all the same, and says so."""
FAILED = 1


@app.callback(invoke_without_command=True, context_settings={"allow_interspersed_args": True})
def report(
    release_id: Annotated[str, typer.Argument(metavar="ID", help="hive-platform-1.0.0-local-20261124T182000Z-ab12")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one HTML file.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown, as without options.")] = False,
    save: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write HTML, Markdown and charts.")] = None,
) -> None:
    """Tell what happened in a release, and check that the record is unchanged.

    The ledger's address is SLIPWAY_LEDGER_DSN, or Airflow's AIRFLOW_CONN_SLIPWAY_LEDGER. Exit code 3: the record
    does not hold.
    """
    # Drivers and matplotlib take a second to load; `slipway --help` does without them.
    from slipway.ledger.store import Store
    from slipway.report import charts, files
    from slipway.report import html as as_html
    from slipway.report import markdown as as_markdown
    from slipway.report.dossier import assemble

    try:
        dossier = assemble(Store.from_environment().record(release_id))
        if html is not None:
            files.write(html, as_html.render(dossier, charts.draw(dossier)).encode())
            typer.echo(f"dossier {html}")
        if save is not None:
            for path in (written := files.save(dossier, save)).html, written.markdown, written.charts:
                typer.echo(f"dossier {path}" if path else "no charts: the release has no samples")
    except SlipwayError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FAILED) from None
    if markdown or (html is None and save is None):
        typer.echo(as_markdown.render(dossier), nl=False)
    holds, proof = dossier.proof
    if not holds:
        typer.echo(proof, err=True)
        raise typer.Exit(BROKEN)
