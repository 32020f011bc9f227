"""The image of one Go program: the program, and the few files that a static program expects to find."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.build.oci import Layout, Settings
from testbed.catalog import GoProgram
from testbed.errors import BuildError

if TYPE_CHECKING:
    from testbed.catalog import Component, Image

CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
FORM = 2
"""Counted up when the images of unchanged programs come out otherwise than before."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(component: Component, image: Image, program: Path, folder: Path) -> None:
    """Write a program's image as an OCI layout.

    The program lies at ``/bin/NAME`` and is the entry point. Nothing lies at ``/NAME``: the operator mounts
    volumes at ``/prometheus`` and ``/alertmanager``.

    :param component: what the image says about itself.
    :param image: its name and its user.
    :param program: the static binary.
    :param folder: where the layout goes; it must not exist.
    :raises BuildError: this machine has no bundle of certificate authorities.
    """
    binary = program.name
    layout = Layout(folder)
    layer = layout.layer()
    for name in ("bin", "etc", "etc/ssl", "etc/ssl/certs"):
        layer.folder(name)
    layer.folder("tmp", 0o1777)  # the Argo Rollouts controller and the config reloader write here
    layer.text("etc/passwd", _passwd(image.user))
    layer.text("etc/group", "root:x:0:\nnogroup:x:65534:\n")
    layer.file(str(CA_BUNDLE).lstrip("/"), ca_bundle())
    layer.file(f"bin/{binary}", program, 0o755)
    layout.finish(
        layer,
        Settings(
            architecture=ARCHITECTURES.get(platform.machine(), platform.machine()),
            entrypoint=(f"/bin/{binary}",),
            user=image.user,
            labels=_labels(component),
        ),
    )


def ca_bundle() -> Path:
    """Return the machine's bundle of certificate authorities.

    :raises BuildError: there is none.
    """
    if not CA_BUNDLE.is_file():
        raise BuildError(
            "images cannot be made without certificate authorities",
            found=f"no {CA_BUNDLE}",
            do="apt-get install ca-certificates",
        )
    return CA_BUNDLE


def _labels(component: Component) -> dict[str, str]:
    labels = {
        "org.opencontainers.image.title": component.name,
        "org.opencontainers.image.description": component.about,
    }
    if component.version:
        labels["org.opencontainers.image.version"] = component.version
    if isinstance(component.source, GoProgram):
        labels["dev.slipway.source"] = component.source.package
    return labels


def _passwd(user: str) -> str:
    known = {"0": "root", "65534": "nobody"}
    uid = user.partition(":")[0]
    names = {**known, uid: known.get(uid, "app")}
    return "".join(f"{name}:x:{number}:{number}:{name}:/tmp:/sbin/nologin\n" for number, name in names.items())
