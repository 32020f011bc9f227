"""A root file system of Debian packages, from the mirrors that this machine's apt already uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from testbed.build.process import run
from testbed.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

LIST_LIMIT = 30.0
MAKE_LIMIT = 900.0
UNWANTED = (
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
)


class Recipe(BaseModel):
    """The file ``root.yaml`` in an image's folder.

    :param suite: the Debian release by its code name.
    :param variant: mmdebstrap's: ``minbase`` is a small system with apt; ``extract`` only unpacks.
    :param packages: what to install, with what it depends on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    suite: str
    variant: Literal["minbase", "extract"]
    packages: tuple[str, ...]


def make(recipe: Path, tar: Path) -> None:
    """Make the root file system.

    :param recipe: the ``root.yaml``.
    :param tar: the file to write.
    :raises BuildError: a package does not exist, or the mirror cannot be reached.
    """
    what = f"the root file system of {recipe.parent.name} could not be made"
    wanted = Recipe.model_validate(yaml.safe_load(recipe.read_text(encoding="utf-8")))
    command = [
        "mmdebstrap",
        "--quiet",
        f"--variant={wanted.variant}",
        f"--include={','.join(wanted.packages)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNWANTED),
        wanted.suite,
        str(tar),
        *_sources(wanted.suite, what),
    ]
    run(
        command,
        what=what,
        timeout=MAKE_LIMIT,
        advise=lambda _: "look whether apt-get update works on this machine, and at the packages in root.yaml",
    )


def _sources(suite: str, what: str) -> list[str]:
    """Return the suite's lines for sources.list, with updates and security where the machine has them."""
    fields = "$(ORIGIN)|$(CODENAME)|$(SITE)|$(RELEASE)|$(COMPONENT)"
    output = run(("apt-get", "indextargets", "--format", fields, "Created-By: Packages"), what=what, timeout=LIST_LIMIT)
    found = [line.split("|") for line in output.splitlines()]
    sites = [
        (site, release) for origin, _, site, release, component in found if (origin, component) == ("Debian", "main")
    ]
    lines = [f"deb {site} {release} main" for site, release in sites if release.split("-")[0] == suite]
    if not lines and sites:  # a machine of another release: the mirror has ours too
        lines = [f"deb {sites[0][0]} {suite} main"]
    if not lines:
        raise BuildError(
            what,
            found="apt knows no package index of Debian",
            do="apt-get update, and look at the sources in /etc/apt",
        )
    return lines
