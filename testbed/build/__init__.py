"""Everything made before a testbed starts, each once: Debian packages, programs, images, manifests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.build import debian, files, go, images, manifests
from testbed.build.lock import exclusive

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.catalog import Catalog
    from testbed.home import Home
    from testbed.network import Network

SECONDS_OF_A_PACKAGE = 2.0


def prepare(home: Home, catalog: Catalog, network: Network, console: Console) -> None:
    """Make what is missing. Where nothing is, this only compares hashes.

    :param home: the folders.
    :param catalog: the table.
    :param network: the plan of addresses, for the manifests.
    :param console: where progress is shown.
    :raises BuildError: something could not be made; what was made before stays, and the next call goes on.
    """

    def say(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with exclusive(home.cache / "lock", say):
        debian.install(debian.missing(catalog.debian_packages), say)
        go.build(home, catalog, console)
        images.build(home, catalog, console)
        manifests.sweep(home, {manifests.rendered(home, catalog, network, item) for item in catalog.addons})


def fingerprint(home: Home, catalog: Catalog, network: Network) -> str:
    """Return 12 hexadecimal digits over everything that a testbed is made from, known beforehand.

    :param home: the folders.
    :param catalog: the table.
    :param network: the plan of addresses.
    """
    return files.digest(
        catalog.debian_packages,
        [str(go.program(home, catalog, item)) for item in catalog.go_programs],
        images.source_hash(catalog),
        [manifests.place(home, catalog, network, item).name for item in catalog.addons],
    )


def needs_build(home: Home, catalog: Catalog) -> bool:
    """Say whether programs or images are still to be made: then Go and more disk are needed.

    :param home: the folders.
    :param catalog: the table.
    """
    return bool(go.unbuilt(home, catalog)) or not images.is_built(home, catalog)


def expected_seconds(home: Home, catalog: Catalog) -> float:
    """Return what :func:`prepare` will take, from what it took before on this machine, or from a table.

    :param home: the folders.
    :param catalog: the table.
    """
    packages = len(debian.missing(catalog.debian_packages)) * SECONDS_OF_A_PACKAGE
    return packages + go.expected_seconds(home, catalog) + images.expected_seconds(home, catalog)
