"""Base images under their public names: the public image where it can be pulled, else a stand-in."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

from testbed.build import debian_root, files, program_image
from testbed.build.process import call, run
from testbed.errors import BuildError
from testbed.home import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed.build.names import ImageName
    from testbed.build.storage import Storage
    from testbed.catalog import Component, Image

IMAGES = SOURCE / "images"
MARK = "slipway-stand-in"
BUILD_LIMIT = 900.0
UNMOUNT_LIMIT = 30.0


class Public:
    """Asks whether public images can be pulled, for a few seconds in all: a host that hangs delays nobody.

    :param seconds: what all questions together may take.
    """

    def __init__(self, seconds: float = 5.0) -> None:
        self._left = seconds

    def has(self, name: str) -> bool:
        """Tell whether an image can be pulled.

        :param name: its public name.
        """
        if self._left <= 0:
            return False
        begin = time.monotonic()
        try:
            return call(("skopeo", "inspect", "--no-tags", f"docker://{name}"), timeout=self._left).code == 0
        except BuildError:  # too slow, or no skopeo: the copy will tell
            return False
        finally:
            self._left -= time.monotonic() - begin


def source_hash(folder: str) -> str:
    """Return 12 hexadecimal digits over what a stand-in is made from.

    :param folder: its folder under testbed/images.
    :raises BuildError: there is no Containerfile in it.
    """
    source = IMAGES / folder
    if not (source / "Containerfile").is_file():
        raise BuildError(
            f"the image {folder} cannot be made",
            found=f"no Containerfile in {source}",
            do="correct components.yaml",
        )
    return files.digest_of(files.files_in(source), source)


def make(
    component: Component,
    image: Image,
    name: ImageName,
    storage: Storage,
    public: Public,
    say: Callable[[str], None],
) -> None:
    """Store the public image, or build the stand-in and store that.

    :param component: whose image it is.
    :param image: its public name and its folder.
    :param name: where it goes.
    :param storage: the registry's storage, being served.
    :param public: asks whether the public one can be pulled.
    :param say: takes one line that tells which of the two it was.
    :raises BuildError: the build failed.
    """
    if public.has(image.name):
        say(f"{component.name}: taking the public image {image.name}")
        storage.put(f"docker://{image.name}", name)
        return
    say(f"{component.name}: {image.name} cannot be pulled here; making a stand-in from Debian packages")
    work = storage.work / component.name
    work.mkdir()
    try:
        storage.put(_build(image, work), name)
    finally:
        remove_work(work)


def remove_work(work: Path) -> None:
    """Remove a build's folder; first unmount what a killed build left mounted below, so that only copies go.

    :param work: the folder.
    """
    with open("/proc/self/mountinfo", encoding="utf-8") as table:  # noqa: PTH123 - a file of the kernel
        points = [line.split()[4] for line in table]
    for point in reversed([point for point in points if point.startswith(f"{work}/")]):
        run(("umount", point), what=f"{work} could not be removed", timeout=UNMOUNT_LIMIT)
    files.remove(work)


def _build(image: Image, work: Path) -> str:
    source = IMAGES / str(image.containerfile)
    context = work / "context"
    shutil.copytree(source, context)
    debian_root.make(source / "root.yaml", context / "root.tar")
    sentence = f"This image stands in for {image.name}: slipway's testbed made it from Debian packages.\n"
    (context / MARK).write_text(sentence, encoding="utf-8")
    shutil.copyfile(program_image.ca_bundle(), context / "ca-certificates.crt")
    what = f"the stand-in for {image.name} could not be built"
    # A store of its own: the images of the machine's user are neither used nor changed. vfs needs no mounts.
    store, run_store = work / "store", work / "run"
    buildah = ("buildah", f"--root={store}", f"--runroot={run_store}", "--storage-driver=vfs")
    labels = ("--label=dev.slipway.stand-in=true", f"--label=dev.slipway.stand-in.for={image.name}")
    options = ("--isolation=chroot", "--layers=false", "--format=oci", "--pull-never", *labels)
    tag = "localhost/stand-in:latest"
    run((*buildah, "build", *options, f"--tag={tag}", str(context)), what=what, timeout=BUILD_LIMIT)
    target = f"oci:{work / 'image'}"
    # With this option its layers stay uncompressed, as those of the programs: see oci.py.
    copy = ("skopeo", "copy", "--quiet", "--dest-oci-accept-uncompressed-layers")
    run((*copy, f"containers-storage:[vfs@{store}+{run_store}]{tag}", target), what=what, timeout=BUILD_LIMIT)
    return target
