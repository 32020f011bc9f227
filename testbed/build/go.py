"""Builds the Go programs of the table into the cache, each once, and finds files of Go modules.

A module folder's programs lie in ``programs/<module>-<hash>/``; the hash covers what they are made from. A
program is in that folder only when it is whole, so a killed build is continued and never mistaken for done.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.build import files
from testbed.build.process import run
from testbed.build.progress import Progress, Times
from testbed.catalog import Catalog, Component, GoProgram
from testbed.errors import BuildError
from testbed.home import SOURCE, Home

if TYPE_CHECKING:
    from rich.console import Console

MODULES = SOURCE / "go"
FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false")
SECONDS: dict[str, float] = {
    "kube-apiserver": 176, "kube-controller-manager": 42, "kube-scheduler": 3, "kubelet": 13, "kube-proxy": 5,
    "kubectl": 16, "coredns": 31, "rollouts-controller": 29, "traefik": 133, "operator": 13,
    "prometheus-config-reloader": 2, "alertmanager": 7, "prometheus": 46, "promtool": 4, "helm": 7,
    "containerd": 50, "containerd-shim-runc-v2": 5, "ctr": 5, "metrics-server": 90, "kube-state-metrics": 14,
    "pause": 5, "sample": 5,
}  # fmt: skip
"""What each takes on two cores, nothing compiled before; the first of a module pays for what they share."""
BUILD_LIMIT = 3600.0
QUERY_LIMIT = 900.0

ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"no space left on device",
        "free some disk (a build takes 10 GB), or point GOCACHE and TMPDIR to a larger one",
    ),
    (
        r"requires go >= ?([\w.]+)",
        r"install Go {1} or newer, or set GOTOOLCHAIN=auto so that go fetches it by itself",
    ),
    (
        r"checksum mismatch|SECURITY ERROR",
        "the download differs from go.sum: clear it with go clean -modcache, try again",
    ),
    (
        r"missing go\.sum entry|updates to go\.mod needed|go mod tidy",
        "go.mod and go.sum do not fit together: take both from the repository, or run go mod tidy",
    ),
    (
        r"signal: killed|cannot allocate memory",
        "free some memory (the largest program takes 4 GB), then try again",
    ),
    (
        r"dial tcp|no such host|i/o timeout|connection re(?:fused|set)|TLS handshake|proxyconnect",
        "the module proxy cannot be reached: check the network, go env GOPROXY and HTTPS_PROXY",
    ),
    (
        r"40[34] |410 Gone",
        "the module proxy does not serve this version: check go env GOPROXY, or choose another version",
    ),
    (r"permission denied", "make the cache folders writable: go env GOCACHE GOMODCACHE"),
)


def source_hash(catalog: Catalog, module: str) -> str:
    """Return 12 hexadecimal digits over everything that the programs of a module folder are made from.

    :param catalog: the table, for the build flags.
    :param module: the folder under testbed/go.
    :raises BuildError: there is no such folder.
    """
    folder = MODULES / module
    if not (folder / "go.mod").is_file():
        raise BuildError(
            f"the Go module {module} does not exist",
            found=f"no go.mod in {folder}",
            do="correct components.yaml",
        )
    sources = [folder / "go.mod", folder / "go.sum", *folder.rglob("*.go")]
    # The set of flags and not the list of programs: a program more in the table rebuilds no other.
    flags = sorted({_flags(item) for item in catalog.go_programs if _source(item).go == module})
    return files.digest(files.digest_of((file for file in sources if file.is_file()), folder), flags)


def program(home: Home, catalog: Catalog, component: Component) -> Path:
    """Return where a component's program lies, or will lie once it is built.

    :param home: the folders.
    :param catalog: the table.
    :param component: a component whose source is a Go program.
    """
    source = _source(component)
    return _programs(home) / f"{source.go}-{source_hash(catalog, source.go)}" / source.binary


def unbuilt(home: Home, catalog: Catalog) -> list[Component]:
    """Return the components whose program is still to be built, in the order of the table.

    :param home: the folders.
    :param catalog: the table.
    """
    return [item for item, path in _places(home, catalog) if not path.is_file()]


def expected_seconds(home: Home, catalog: Catalog) -> float:
    """Return what building the missing programs will take.

    :param home: the folders.
    :param catalog: the table.
    """
    remembered = times(home)
    return sum(remembered.expected(_source(item).binary) for item in unbuilt(home, catalog))


def times(home: Home) -> Times:
    """Return the seconds that building each program takes on this machine.

    :param home: the folders.
    """
    return Times(home.cache / "seconds.json", SECONDS)


def build(home: Home, catalog: Catalog, console: Console) -> None:
    """Build what is missing, and point ``home.bin`` at the programs. The caller holds the lock of the cache.

    :param home: the folders.
    :param catalog: the table.
    :param console: where the progress is shown.
    :raises BuildError: go failed; everything that was built before stays.
    """
    remembered = times(home)
    for leftover in _programs(home).glob("*.partial-*"):
        files.remove(leftover)
    missing = unbuilt(home, catalog)
    expected = {_source(item).binary: remembered.expected(_source(item).binary) for item in missing}
    with Progress(console, "programs", expected).shown() as progress:
        for component in missing:  # one after the other: go itself uses every core
            name = _source(component).binary
            begin = time.monotonic()
            with progress.step(name):
                _install(component, program(home, catalog, component))
            remembered.remember(name, time.monotonic() - begin)
    _publish(home, catalog)


def module_dir(go_module: str, module_path: str) -> Path:
    """Return the folder with a module's source, at the version that a module folder pins; fetch it if needed.

    :param go_module: the folder under testbed/go.
    :param module_path: the module whose files are wanted.
    :raises BuildError: the folder does not pin this module, or it cannot be fetched.
    """
    query = ("go", "list", "-m", "-f", "{{.Dir}}", module_path)
    what = f"the source of {module_path} was not found"
    where = MODULES / go_module
    found = run(query, what=what, timeout=QUERY_LIMIT, env=environment(), cwd=where, advise=advise).strip()
    if not found or not Path(found).is_dir():
        fetch = ("go", "mod", "download", module_path)
        run(fetch, what=what, timeout=QUERY_LIMIT, env=environment(), cwd=where, advise=advise)
        found = run(query, what=what, timeout=QUERY_LIMIT, env=environment(), cwd=where, advise=advise).strip()
    return Path(found)


def environment() -> dict[str, str]:
    """Return an environment in which the user's own settings for Go cannot change what is built."""
    kept = {name: value for name, value in os.environ.items() if name not in {"GOARCH", "GOEXPERIMENT"}}
    return {**kept, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOOS": "linux", "GOWORK": "off"}


def advise(output: str) -> str:
    """Return what to do about a failure that is known, else nothing.

    :param output: what go said.
    """
    for pattern, advice in ADVICE:
        match = re.search(pattern, output)
        if match:
            return advice.replace("{1}", match.group(1)) if match.groups() else advice
    return ""


def _install(component: Component, target: Path) -> None:
    source = _source(component)
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    # A folder of this build's own: a go that outlived a killed build can then not write into ours.
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as partial:
        run(
            ("go", "install", *_flags(component), source.package),
            what=f"{source.binary} could not be built",
            timeout=BUILD_LIMIT,
            env={**environment(), "GOBIN": partial},
            cwd=MODULES / source.go,
            advise=advise,
        )
        made = Path(partial) / source.binary
        if not made.is_file():
            others = sorted(item.name for item in Path(partial).iterdir())
            raise BuildError(
                f"{source.binary} could not be built",
                found=f"go made {', '.join(others) or 'nothing'}",
                do=f"correct the package of {component.name} in components.yaml: {source.package}",
            )
        made.replace(target)


def _publish(home: Home, catalog: Catalog) -> None:
    """Point the links at the programs in use, then remove what nothing points to any more."""
    used = {path.name: path for _, path in _places(home, catalog)}
    for name, path in used.items():
        files.link(home.bin / name, path)
    for entry in home.bin.iterdir():
        if entry.name not in used:
            files.remove(entry)
    folders = {path.parent for path in used.values()}
    for folder in _programs(home).iterdir():
        if folder not in folders:
            files.remove(folder)


def _places(home: Home, catalog: Catalog) -> list[tuple[Component, Path]]:
    folders: dict[str, Path] = {}
    for component in catalog.go_programs:
        if _source(component).go not in folders:
            folders[_source(component).go] = program(home, catalog, component).parent
    return [(item, folders[_source(item).go] / _source(item).binary) for item in catalog.go_programs]


def _programs(home: Home) -> Path:
    return home.cache / "programs"


def _source(component: Component) -> GoProgram:
    if not isinstance(component.source, GoProgram):
        raise TypeError(f"{component.name} is no Go program")
    return component.source


def _flags(component: Component) -> tuple[str, ...]:
    source = _source(component)
    link = "-s -w"
    if source.package.startswith("k8s.io/kubernetes/") and component.version:
        # Without it the API server calls itself v0.0.0-master, and charts that ask for a version refuse it.
        major, minor, *_ = component.version.removeprefix("v").split(".")
        at = "k8s.io/component-base/version"
        link += f" -X {at}.gitVersion={component.version} -X {at}.gitMajor={major} -X {at}.gitMinor={minor}"
    tags = (f"-tags={','.join(source.tags)}",) if source.tags else ()
    return (*FLAGS, "-ldflags", link, *tags)
