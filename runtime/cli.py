"""The command line: ``python -m runtime``. Reads the arguments, calls, and prints; decides nothing."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runtime import settings as configuration
from runtime.parts import NAMES, PARTS
from testbed.errors import TestbedError, UsageError

if TYPE_CHECKING:
    from runtime.settings import Settings
    from runtime.tree import Tree

HELP = """The Airflow of this machine: API server with the UI, scheduler, DAG processor and triggerer on the testbed's
PostgreSQL, as processes of their own beside the testbed.

\b
  python -m testbed up                    first: the PostgreSQL that Airflow keeps its state in
  python -m runtime up                    then: Airflow, ready, with the DAGs of dags/
  python -m runtime status                how the parts are, their memory, and how to log in
  eval "$(python -m runtime env)"         then: airflow dags list, slipway report
  python -m runtime logs scheduler        what a part says; -f follows
  python -m runtime down                  ends it, drops its databases, leaves nothing

Variables: SLIPWAY_RUNTIME_HOME, _PORT (8282), _DAGS, _SUFFIX (a second runtime beside the first), _POSTGRES.
"""
MIB = 1024 * 1024

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 160)
err = Console(stderr=True, highlight=False, soft_wrap=True)

PartName = StrEnum("PartName", {name.replace("-", "_").upper(): name for name in NAMES})  # type: ignore[misc]
Which = Annotated[PartName, typer.Argument(help="The part.")]


@app.command()
def up() -> None:
    """Bring Airflow up; a second call changes nothing."""
    from runtime import start

    begin = time.monotonic()
    settings = configuration.read()
    parsed = start.up(settings, err)
    out.print(f"Airflow is up with {_listed(parsed.dags)} ({time.monotonic() - begin:.1f} s)", markup=False)
    out.print(_addresses(settings), markup=False)


@app.command()
def down() -> None:
    """End Airflow, drop its databases and remove its files."""
    from runtime import start

    begin = time.monotonic()
    there, left = start.down(configuration.read())
    out.print(f"Airflow is gone ({time.monotonic() - begin:.1f} s)" if there else "no Airflow was running")
    if left:
        err.print(f"note: {left}", markup=False)


@app.command()
def status() -> None:
    """Say how every part is. Exit code 0 when all are well."""
    from runtime.api import Api
    from runtime.start import is_well
    from runtime.supervision import Supervisor

    settings = configuration.read()
    tree = _running(settings)
    states = Supervisor(settings.home).states()
    with Api(settings.url, "", "") as api:
        health = api.health()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("PART", "STATE", "MEMORY", "ABOUT"):
        table.add_column(title, no_wrap=title != "ABOUT", justify="right" if title == "MEMORY" else "left")
    for part in PARTS:
        state, well = states[part.name], is_well(health, part)
        memory = f"{tree.memory(state.pid) / MIB:.0f} MiB"
        table.add_row(
            part.name,
            Text("healthy" if well else "not healthy", style="green" if well else "red"),
            memory,
            f"{state.statename}: {state.description}",
        )
    out.print(table)
    out.print(_addresses(settings), markup=False)
    raise typer.Exit(0 if all(is_well(health, part) for part in PARTS) else 1)


@app.command()
def env() -> None:
    """Print what to `eval` in a shell: Airflow's settings, the ledger's address, the login."""
    settings = configuration.read()
    _running(settings)
    print(f". {settings.home.environment}")  # the values stay in a file that only its owner may read


@app.command()
def logs(
    name: Which,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
) -> None:
    """Print what a part says. What a task says stands in the UI, and below airflow/logs in the state folder."""
    settings = configuration.read()
    _running(settings)
    file = settings.home.logs / f"{name.value}.log"
    command = ["tail", f"--lines={lines}", *(["--follow=name"] if follow else []), str(file)]
    os.execvp(command[0], command)  # noqa: S606 - becomes tail, so that Ctrl-C reaches it


@app.command()
def restart(name: Which) -> None:
    """Ask a part to end as at a shutdown, and start it again."""
    from runtime.supervision import Supervisor

    settings = configuration.read()
    _running(settings)
    Supervisor(settings.home).restart(name.value)


@app.command()
def kill(name: Which) -> None:
    """Send SIGKILL to a part, to see what that does to a release; it comes back by itself."""
    from runtime.supervision import Supervisor

    settings = configuration.read()
    _running(settings)
    Supervisor(settings.home).kill(name.value)


def main() -> NoReturn:
    """Run the command line; an error of ours is printed whole and without a traceback."""
    from runtime.supervision import GONE

    try:
        app(prog_name="python -m runtime")
    except TestbedError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)
    except GONE as error:
        err.print(
            f"error: supervisord ended while it was asked: {error}\n  do     python -m runtime up",
            style="red",
            markup=False,
        )
        sys.exit(1)
    sys.exit(0)


def _running(settings: Settings) -> Tree:
    from runtime import tree

    found = tree.find(settings.home)
    if found is None:
        raise UsageError("no Airflow is running", do="python -m runtime up")
    return found


def _addresses(settings: Settings) -> str:
    from runtime import keys

    logins = keys.read(settings.home).logins
    return "\n".join(
        (
            f"  open       {settings.url}",
            *(f"  log in     {user}, password {password}" for user, password in logins.items()),
            f"  DAG files  {settings.dags}",
            f"  logs       {settings.home.logs}",
        )
    )


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "no DAGs yet"
    return f"{len(names)} DAG{'s' if len(names) > 1 else ''}: {', '.join(names)}"
