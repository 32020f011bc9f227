"""`slipway`, the command line. Each group is a module of this package with a typer app of its own.

A module with one command becomes that command (`slipway validate`), one with several a group (`slipway config guide`).
Modules keep their heavy imports inside their functions, so that `slipway --help` is quick.
"""

from __future__ import annotations

import importlib
import pkgutil

import typer
from rich.console import Console

from slipway.errors import (
    FencedError,
    GateError,
    RefusedError,
    SlipwayError,
    SpecError,
    VerdictError,
)

HELP = """Carry a release from configuration to 100 % of the traffic, or take it back.

\b
Exit codes
  0    done
  1    another system did not do as asked: cluster, registry, Prometheus, database
  2    refused before anything was touched: a file, a parameter, the command itself
  3    the command's own: see its help
  4    a precondition does not hold: already released, a release is active, a secret is missing
  5    a gate said no: image size, user, vulnerabilities, chart, diff
  6    somebody else has taken the release over
  7    the canary is worse, or could not be shown to be as good
  130  interrupted
"""
_CODES: tuple[tuple[type[SlipwayError], int], ...] = (
    (SpecError, 2),
    (RefusedError, 4),
    (GateError, 5),
    (FencedError, 6),
    (VerdictError, 7),
)
FAILED = 1
INTERRUPTED = 130


def exit_code(error: SlipwayError) -> int:
    """Return the exit code of an error, as the help lists it."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILED)


def build() -> typer.Typer:
    """Mount every group that this package has."""
    root = typer.Typer(
        help=HELP, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
    )
    root.callback()(lambda: None)  # with it, a single command still has a name of its own
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        found = getattr(importlib.import_module(f"{__name__}.{module.name}"), "app", None)
        if isinstance(found, typer.Typer):
            _mount(root, found, module.name.replace("_", "-"))
    return root


def _mount(root: typer.Typer, group: typer.Typer, name: str) -> None:
    commands, callback = group.registered_commands, group.registered_callback
    if len(commands) == 1 and not group.registered_groups and callback is None:
        command = commands[0]
        command.name = command.name or name
        root.registered_commands.append(command)
    elif not commands and not group.registered_groups and callback is not None and callback.callback is not None:
        # A group without commands would take its last argument for the name of one.
        root.command(name)(callback.callback)
    else:
        root.add_typer(group, name=name)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; an error of ours is a few lines, never a traceback."""
    err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    try:
        code = build()(args=arguments, prog_name="slipway", standalone_mode=True)
    except SlipwayError as error:
        err.print(str(error))
        return exit_code(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else FAILED if ended.code else 0
    return code if isinstance(code, int) else 0
