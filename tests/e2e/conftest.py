"""Fixtures of the end-to-end tests: the running testbed, an image in its registry, a namespace for each module."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.cluster import HOME, environment_of_build, kubectl, testbed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.page import Page
    from tests.e2e.release import Demo

LAST = ("test_survival.py", "test_down.py")
"""What kills parts of the testbed runs after what only uses it, and what ends it runs at the very end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here, and put the destructive modules at the end."""
    here = Path(__file__).parent
    mine = [item for item in items if here in item.path.parents]
    for item in mine:
        item.add_marker(pytest.mark.e2e)
    items.sort(key=lambda item: LAST.index(item.path.name) + 1 if item.path.name in LAST else 0)


@pytest.fixture(scope="session")
def bed() -> None:
    """The running testbed. `make test` brings it up before; a bare pytest does it here."""
    if os.geteuid() != 0:
        pytest.skip("the testbed needs root: it makes namespaces, mounts and cgroups")
    done = testbed("up", timeout_s=3000)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def image(bed: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample application in an image of our own, built, pushed, and named by digest."""
    context = tmp_path_factory.mktemp("app")
    shutil.copy(Path(__file__).parent / "app" / "Containerfile", context)
    shutil.copy(HOME.bin / "sample", context)
    name = "localhost/slipway-test-app:1"
    subprocess.run(
        ["buildah", "bud", "--quiet", f"--tag={name}", str(context)],
        env=environment_of_build(),
        check=True,
        capture_output=True,
        timeout=120,
    )
    try:
        done = testbed("push", name)
    finally:
        subprocess.run(["buildah", "rmi", name], check=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def demo(bed: None) -> Iterator[Demo]:
    """The whole demo, from nothing: three releases with their holds, about six minutes; once for all who look at it."""
    from tests.e2e import release

    yield release.play()
    release.drop_what_the_demo_made()


@pytest.fixture(scope="module")
def namespace(bed: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the module's own."""
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=true")
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def page(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The second application and an Airflow of its own, about 30 s; nothing is installed yet."""
    from tests.e2e.page import brought_up

    with brought_up(namespace, tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture
def served(page: Page) -> str:
    """The pod-template hash of the version that serves; the first one is installed where there is none yet."""
    page.ensure_installed()
    return page.stable()
