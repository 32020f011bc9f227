"""The layers of docs/architecture.md, read from the imports themselves: an arrow runs one way only.

dags -> groups -> operators, sensors, triggers -> flow -> hooks and domain -> spec -> names, errors
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SLIPWAY = ROOT / "plugins/slipway"

LAYERS = (
    ("names", "errors"),
    ("spec",),
    ("canary", "chart", "images", "ledger", "notifications", "report", "rollouts", "hooks"),
    ("flow",),
    ("operators", "sensors", "triggers"),
    ("groups",),
    ("dags",),
)
"""From the ground up. A package may import its own layer and those under it."""
DOORS = frozenset({"cli", "__main__", "__init__"})
"""What a person starts: it may use everything but the DAGs."""
PURE = (
    "names", "errors", "spec", "canary", "chart", "rollouts", "images", "ledger.states", "ledger.chain",
    "ledger.models", "ledger.redaction", "notifications.message", "notifications.render", "flow.facts",
)  # fmt: skip
"""No Airflow and no client of another system in these, not even inside a function."""
CLIENTS = frozenset({
    "airflow", "asyncpg", "httpx", "httpx2", "kubernetes", "kubernetes_asyncio", "lightkube", "psycopg", "requests",
    "smtplib", "socket", "sqlalchemy", "subprocess", "urllib3",
})  # fmt: skip
HEAVY = frozenset({"kubernetes", "lightkube", "matplotlib", "numpy", "psycopg", "scipy"})
LIGHT = ("flow", "groups", "operators", "sensors", "triggers", "cli", "hooks", "spec", "canary", "chart", "rollouts")
"""What a DAG file or `slipway --help` may load: heavy packages are imported inside functions there."""


@dataclass(frozen=True)
class Import:
    """One import statement, those for the type checker alone left out.

    :param name: what is imported, in full.
    :param top: at the top of its module, so that it is loaded with it.
    """

    module: str
    name: str
    line: int
    top: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def imports(source: str, module: str) -> list[Import]:
    """Return what a module imports when it is loaded or run."""
    found: list[Import] = []

    def visit(node: ast.AST, *, top: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(module, alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            # `from slipway import errors` imports the module slipway.errors; of others the package is enough.
            names = [f"{base}.{alias.name}" for alias in node.names] if base.startswith("slipway") else [base]
            found.extend(Import(module, name, node.lineno, top) for name in names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                visit(child, top=top)
        else:
            inside = top and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                visit(child, top=inside)

    visit(ast.parse(source), top=True)
    return found


def _modules() -> dict[str, Path]:
    named = {str(path.relative_to(SLIPWAY).with_suffix("")).replace("/", "."): path for path in SLIPWAY.rglob("*.py")}
    return {name.removesuffix(".__init__") or name: path for name, path in named.items()}


MODULES = _modules()
ALL = [
    *(one for name, path in MODULES.items() for one in imports(path.read_text(), name)),
    *(one for path in sorted((ROOT / "dags").glob("*.py")) for one in imports(path.read_text(), f"dags.{path.stem}")),
]


def layer(name: str) -> int | None:
    """Return the layer of a module of slipway, None for a door."""
    first = name.partition(".")[0]
    if first in DOORS:
        return None
    return next(number for number, packages in enumerate(LAYERS) if first in packages)


def of_slipway(one: Import) -> str:
    """Return the module of slipway that is imported, "" when it is something else."""
    return one.name.removeprefix("slipway.") if one.name.startswith("slipway.") else ""


def is_in(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def against_the_arrow(found: list[Import]) -> list[str]:
    wrong = []
    for one in found:
        used = of_slipway(one)
        above, below = layer(one.module), layer(used) if used else 0
        if used and above is not None and (below is None or below > above):
            wrong.append(str(one))
    return wrong


def test_every_package_has_its_place() -> None:
    """A new package that no layer names would be looked at by nobody."""
    packages = {name.partition(".")[0] for name in MODULES}

    assert packages == {name for names in LAYERS for name in names} - {"dags"} | DOORS


def test_an_arrow_runs_one_way() -> None:
    assert len(ALL) > 500
    assert against_the_arrow(ALL) == []


def test_pure_modules_know_neither_airflow_nor_a_client() -> None:
    pure = [one for one in ALL if is_in(one.module, PURE)]

    assert {one.module for one in pure} >= {"names", "canary.judge", "spec.release", "ledger.chain", "rollouts.state"}
    assert [str(one) for one in pure if one.name.partition(".")[0] in CLIENTS] == []


def test_pure_modules_know_no_module_that_is_not() -> None:
    """Through a hook or a store, a client would come in by the back door."""
    pure = [one for one in ALL if is_in(one.module, PURE)]

    assert [str(one) for one in pure if is_in(of_slipway(one), ("hooks", "flow.site", "ledger.store"))] == []


def test_only_doors_of_airflow_know_airflow() -> None:
    """The steps of a release run without it: at a prompt, in the watchdog, at night when it is down."""
    allowed = ("dags", "groups", "operators", "sensors", "triggers", "notifications.airflow_notifier")
    knowing = [one for one in ALL if one.name.partition(".")[0] == "airflow" and not is_in(one.module, allowed)]

    assert [str(one) for one in knowing if one.top] == []
    assert {one.module for one in knowing} <= {"flow.credentials"}


@pytest.mark.parametrize("package", LIGHT)
def test_heavy_packages_are_imported_where_they_are_used(package: str) -> None:
    mine = [one for one in ALL if is_in(one.module, (package,))]

    assert [str(one) for one in mine if one.top and one.name.partition(".")[0] in HEAVY] == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("spec.release", "from slipway.flow import site", ["spec.release:1 imports slipway.flow.site"]),
        ("hooks.helm", "def f():\n    from slipway.flow.step import Step",
         ["hooks.helm:2 imports slipway.flow.step.Step"]),
        ("flow.step", "import slipway.cli", ["flow.step:1 imports slipway.cli"]),
        ("flow.step", "from slipway.hooks import helm\nfrom slipway import errors", []),
        ("hooks.helm", "if TYPE_CHECKING:\n    from slipway.flow.step import Step", []),
        ("cli.plan", "from slipway.flow import site", []),
    ],
)  # fmt: skip
def test_the_reader_sees_an_arrow_that_runs_the_wrong_way(module: str, source: str, wrong: list[str]) -> None:
    assert against_the_arrow(imports(source, module)) == wrong
