"""Builds the table's images into ``home.registry``, the storage that every testbed's registry begins with."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from testbed.build import files, go, program_image, stand_in
from testbed.build.names import ImageName, registry_name
from testbed.build.progress import Progress, Times
from testbed.build.storage import Storage, copy_storage
from testbed.catalog import Catalog, Component, GoProgram, Image
from testbed.errors import BuildError

if TYPE_CHECKING:
    from rich.console import Console

    from testbed.home import Home

MARKER = "made-from.json"
SECONDS: dict[str, float] = {"python-slim": 60, "nginx-unprivileged": 20}
SECONDS_OF_A_PROGRAM = 2.0


class Planned(NamedTuple):
    """An image to be: whose, what it is, and where it goes in the registry."""

    component: Component
    image: Image
    name: ImageName


def planned(catalog: Catalog) -> list[Planned]:
    """Return the images of the table.

    :param catalog: the table.
    """
    return [
        Planned(item, item.image, registry_name(item.image.name)) for item in catalog.images if item.image is not None
    ]


def source_hash(catalog: Catalog) -> str:
    """Return 12 hexadecimal digits over everything that the images are made from.

    Programs count by the hash of their source, which is read in a millisecond; they themselves have 900 MB.

    :param catalog: the table.
    :raises BuildError: an image has no source.
    """
    return files.digest(
        program_image.FORM,
        hashlib.sha256(program_image.ca_bundle().read_bytes()).hexdigest(),
        [(str(item.name), _description(item), _made_from(catalog, item)) for item in planned(catalog)],
    )


def is_built(home: Home, catalog: Catalog) -> bool:
    """Tell whether the storage holds exactly the images of the table.

    :param home: the folders.
    :param catalog: the table.
    """
    return files.read_json(home.registry / MARKER).get("all") == source_hash(catalog)


def expected_seconds(home: Home, catalog: Catalog) -> float:
    """Return what building the images will take.

    :param home: the folders.
    :param catalog: the table.
    """
    if is_built(home, catalog):
        return 0.0
    known = files.read_json(home.registry / MARKER).get("images", {})
    remembered = times(home, catalog)
    return sum(
        remembered.expected(item.component.name)
        for item in planned(catalog)
        if not _has_inputs(home, catalog, item) or known.get(str(item.name)) != _image_hash(home, catalog, item)
    )


def times(home: Home, catalog: Catalog) -> Times:
    """Return the seconds that making each image takes on this machine.

    :param home: the folders.
    :param catalog: the table.
    """
    programs = {item.component.name: SECONDS_OF_A_PROGRAM for item in planned(catalog)}
    return Times(home.cache / "seconds-of-images.json", {**programs, **SECONDS})


def build(home: Home, catalog: Catalog, console: Console) -> None:
    """Bring the storage up to date. The programs are built, and the caller holds the lock of the cache.

    :param home: the folders.
    :param catalog: the table.
    :param console: where the progress is shown.
    :raises BuildError: an image could not be made; the old storage stays as it was.
    """
    partial, old = home.registry.with_suffix(".partial"), home.registry.with_suffix(".old")
    # A kill between the two renames below leaves only the old one.
    previous = home.registry if home.registry.is_dir() else old
    files.remove(partial)
    for leftover in home.cache.glob("images-*"):
        stand_in.remove_work(leftover)
    if is_built(home, catalog):
        files.remove(old)
        return
    known = files.read_json(previous / MARKER).get("images", {})
    wanted = {item.name: _image_hash(home, catalog, item) for item in planned(catalog)}
    changed = [item for item in planned(catalog) if known.get(str(item.name)) != wanted[item.name]]
    _begin_with(previous, partial)
    with tempfile.TemporaryDirectory(prefix="images-", dir=home.cache) as work:
        _fill(home, catalog, Storage(partial, Path(work)), changed, console)
    marker = {
        "all": source_hash(catalog),
        "images": {str(name): made_from for name, made_from in wanted.items()},
    }
    files.write(partial / MARKER, json.dumps(marker, indent=1) + "\n")
    files.remove(old)
    if home.registry.is_dir():
        home.registry.rename(old)
    partial.rename(home.registry)
    files.remove(old)


def _fill(home: Home, catalog: Catalog, storage: Storage, changed: list[Planned], console: Console) -> None:
    remembered = times(home, catalog)
    public = stand_in.Public()

    def say(line: str) -> None:
        console.print(f"images: {line}", markup=False, highlight=False, soft_wrap=True)

    expected = {item.component.name: remembered.expected(item.component.name) for item in changed}
    with Progress(console, "images", expected).shown() as progress:
        with storage.served():
            for item in changed:
                begin = time.monotonic()
                with progress.step(item.component.name):
                    if item.image.containerfile:
                        stand_in.make(item.component, item.image, item.name, storage, public, say)
                    else:
                        _make(home, catalog, item, storage)
                remembered.remember(item.component.name, time.monotonic() - begin)
        storage.keep_only({item.name for item in planned(catalog)})


def _make(home: Home, catalog: Catalog, item: Planned, storage: Storage) -> None:
    folder = storage.work / item.component.name
    program_image.write(item.component, item.image, go.program(home, catalog, item.component), folder)
    storage.put(f"oci:{folder}", item.name)
    shutil.rmtree(folder)


def _description(item: Planned) -> dict[str, object]:
    return item.component.model_dump(mode="json", include={"about", "version", "source", "image"})


def _made_from(catalog: Catalog, item: Planned) -> str:
    if item.image.containerfile:
        return stand_in.source_hash(item.image.containerfile)
    if isinstance(item.component.source, GoProgram):
        return go.source_hash(catalog, item.component.source.go)
    raise BuildError(
        f"the image of {item.component.name} cannot be made",
        found="neither a Go program as its source nor a containerfile",
        do="correct its entry in components.yaml",
    )


def _has_inputs(home: Home, catalog: Catalog, item: Planned) -> bool:
    return bool(item.image.containerfile) or go.program(home, catalog, item.component).is_file()


def _image_hash(home: Home, catalog: Catalog, item: Planned) -> str:
    """Return what an image is made from, its program by content: a module's change may leave that alone."""
    if item.image.containerfile:
        content = _made_from(catalog, item)
    else:
        with go.program(home, catalog, item.component).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
    bundle = hashlib.sha256(program_image.ca_bundle().read_bytes()).hexdigest()
    return files.digest(program_image.FORM, bundle, _description(item), content)


def _begin_with(previous: Path, partial: Path) -> None:
    if previous.is_dir():
        copy_storage(previous, partial)
    else:
        partial.mkdir(parents=True)
