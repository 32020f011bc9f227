"""The command line: ``python -m testbed``. Reads the arguments, calls, and prints; decides nothing."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from testbed import report
from testbed.errors import TestbedError, UsageError
from testbed.home import Home

if TYPE_CHECKING:
    from testbed.control import Supervisor
    from testbed.sandbox import Sandbox

HELP = """A real Kubernetes on this machine, without Docker.

The first `up` builds Kubernetes, containerd, Argo Rollouts, Traefik, Prometheus and more from their Go modules (about
12 minutes on two cores) and keeps them in your cache; every later one takes seconds. All of it runs as one process tree
in namespaces of its own, and `down` leaves nothing but the cache.

\b
  python -m testbed up                                     three nodes and every add-on, ready
  export KUBECONFIG=$(python -m testbed kubeconfig)        then: kubectl get nodes
  eval "$(python -m testbed env)"                          KUBECONFIG, and kubectl and helm on PATH
  python -m testbed push localhost/app:1.0                 an image for pods, by digest
  python -m testbed logs kubelet@node-2                    what a component says
  python -m testbed down

With SLIPWAY_KUBECONTEXT=NAME, an existing cluster is used instead: `status` says what it lacks and how to install
it; `up` and `down` change nothing.
"""

app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None)
WIDE = None if sys.stdout.isatty() else 160
out = Console(highlight=False, soft_wrap=True, width=WIDE)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Nodes = Annotated[
    int | None,
    typer.Option("--nodes", help="How many nodes, 1 to 9. [default: 3, or what runs]", show_default=False),
]
Name = Annotated[str, typer.Argument(help="A component or a node, as `status` names it.")]


@app.command()
def up(nodes: Nodes = None) -> None:
    """Bring the testbed up, or repair it; a second call changes nothing."""
    if context := _existing():
        err.print(f"SLIPWAY_KUBECONTEXT={context}: an existing cluster is used, nothing is started")
        raise typer.Exit(_check_existing(context))
    from testbed import start

    begin = time.monotonic()
    sandbox = start.up(Home.default(), nodes, err)
    out.print(report.welcome(Home.default(), sandbox.network, time.monotonic() - begin))


@app.command()
def down() -> None:
    """End everything and remove every trace; the cache of programs stays."""
    if context := _existing():
        err.print(f"SLIPWAY_KUBECONTEXT={context}: an existing cluster is used, nothing is ended")
        return
    from testbed import sandbox

    begin = time.monotonic()
    there = sandbox.find(Home.default()) is not None
    left = sandbox.end(Home.default())
    if left:
        raise TestbedError("the testbed ended, but something stayed", found="\n".join(left), do="call down again")
    out.print(f"the testbed is gone ({time.monotonic() - begin:.1f} s)" if there else "no testbed was running")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print what a program can read.")] = False,
) -> None:
    """Say how every component is. Exit code 0 when all are ready."""
    if context := _existing():
        raise typer.Exit(_check_existing(context))
    rows = _supervisor().status()
    if as_json:
        out.print_json(data=[row.to_wire() for row in rows])
    else:
        out.print(report.table(rows))
        out.print(report.addresses(Home.default(), _running().network))
    raise typer.Exit(0 if report.all_ready(rows) else 1)


@app.command()
def kubeconfig() -> None:
    """Print the path of the administrator's kubeconfig."""
    _running()
    print(Home.default().kubeconfig)


@app.command()
def env() -> None:
    """Print what to `eval` in a shell: KUBECONFIG, and a PATH with kubectl, helm and promtool."""
    _running()
    home = Home.default()
    print(f"export KUBECONFIG={home.kubeconfig}\nexport PATH={home.bin}:$PATH")


@app.command()
def logs(
    name: Name,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last lines.")] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
) -> None:
    """Print what a component says: a process, every process of that name, `supervisor`, or an add-on's pods."""
    from testbed import logs as reader

    command = reader.command(Home.default(), _running().network, name, lines=lines, follow=follow)
    os.execvp(command[0], command)  # noqa: S606 - becomes tail or kubectl, so that Ctrl-C reaches it


@app.command()
def push(
    image: Annotated[
        str, typer.Argument(help="An image of buildah, podman or docker, or oci:DIR, docker-archive:FILE.")
    ],
) -> None:
    """Push an image to the testbed's registry, and print its name by digest: what a pod should use."""
    from testbed.build.push import push as deliver

    print(deliver(image, _running().network))


@app.command()
def stop(name: Name) -> None:
    """End a process, or a whole node with its pods and its cable, and keep it ended."""
    _supervisor().stop(name)


@app.command()
def start(name: Name) -> None:
    """Start again what `stop` ended."""
    _supervisor().start(name)


def main() -> NoReturn:
    """Run the command line; an error of ours is printed whole and without a traceback."""
    try:
        app(prog_name="python -m testbed")
    except TestbedError as error:
        err.print(f"error: {error}", style="red", markup=False)
        sys.exit(error.exit_code)
    except ConnectionError as error:
        err.print(
            f"error: the supervisor ended while it was asked: {error}\n  do     python -m testbed up", style="red"
        )
        sys.exit(1)
    sys.exit(0)


def _existing() -> str | None:
    return os.environ.get("SLIPWAY_KUBECONTEXT") or None


def _check_existing(context: str) -> int:
    from testbed import existing

    rows = existing.check(context)
    out.print(report.needs(rows))
    return 0 if all(row.state != "missing" for row in rows) else 1


def _running() -> Sandbox:
    from testbed import sandbox

    found = sandbox.find(Home.default())
    if found is None:
        raise UsageError("no testbed is running", do="python -m testbed up")
    return found


def _supervisor() -> Supervisor:
    from testbed.control import Supervisor

    _running()
    return Supervisor(Home.default().control)
