"""The release specs and environments of a project, by name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import SpecError
from slipway.spec import checks
from slipway.spec.environment import Environment, load_environment
from slipway.spec.findings import Finding, nearest, refusal, shown
from slipway.spec.reading import read
from slipway.spec.release import ReleaseSpec, load_release

if TYPE_CHECKING:
    from datetime import date

RELEASES = "include/releases"
ENVIRONMENTS = "include/config"
HOME_VARIABLE = "SLIPWAY_HOME"


def _default_root() -> Path:
    """Return the project's folder: SLIPWAY_HOME, or where include/ and plugins/ lie side by side."""
    if named := os.environ.get(HOME_VARIABLE):
        return Path(named)
    return Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Catalog:
    """What may be released, and where to.

    :param root: the project's folder, which all paths in specs start from.
    """

    root: Path = field(default_factory=_default_root)

    def releases(self) -> list[str]:
        """Return the names of the applications."""
        return self._names(RELEASES)

    def environments(self) -> list[str]:
        """Return the names of the environments."""
        return self._names(ENVIRONMENTS)

    def texts(self, application: str, environment: str) -> tuple[str, str]:
        """Return release spec and environment as they are written, for the ledger.

        :raises SpecError: there is no such file.
        """
        files = (self._file("application", application, RELEASES), self._file("environment", environment, ENVIRONMENTS))
        release, target = ((self.root / file).read_text(encoding="utf-8") for file in files)
        return release, target

    def release(self, name: str) -> ReleaseSpec:
        """Read the release spec of an application.

        :raises SpecError: there is none, or it is refused.
        """
        file = self._file("application", name, RELEASES)
        return load_release(self.root / file, file)

    def environment(self, name: str, *, today: date | None = None) -> Environment:
        """Read an environment.

        :raises SpecError: there is none, or it is refused.
        """
        file = self._file("environment", name, ENVIRONMENTS)
        return load_environment(self.root / file, file, today=today)

    def checked(
        self, application: str, environment: str, *, today: date | None = None
    ) -> tuple[ReleaseSpec, Environment]:
        """Read both, and make sure that they fit each other, the chart and the settings' schema.

        :raises SpecError: with every finding.
        """
        release, target = self.release(application), self.environment(environment, today=today)
        findings = self.findings(release, target)
        if findings:
            raise refusal(f"{application} in {environment}", findings)
        return release, target

    def findings(self, release: ReleaseSpec, environment: Environment | None = None) -> list[Finding]:
        """List what keeps a release spec, alone or in an environment, from being used.

        :raises SpecError: a file between them (chart values, overlay, schema) cannot be read.
        """
        file = f"{RELEASES}/{release.application}.yaml"
        found = checks.check_release(release, read(self.root / file, file), self.root)
        if environment is not None and not found:
            file = f"{ENVIRONMENTS}/{environment.name}.yaml"
            found += checks.check_together(release, environment, read(self.root / file, file), self.root)
        return found

    def _names(self, folder: str) -> list[str]:
        return sorted(path.stem for path in (self.root / folder).glob("*.yaml"))

    def _file(self, kind: str, name: str, folder: str) -> str:
        known = self._names(folder)
        if name not in known:  # compared and not looked up: a path in the name leads nowhere
            raise _unknown(kind, name, known, folder)
        return f"{folder}/{name}.yaml"


def _unknown(kind: str, name: str, known: list[str], folder: str) -> SpecError:
    near = nearest(name, known)
    return SpecError(
        f"there is no such {kind}: {folder} has no file of that name",
        found=shown((), name),
        mend=f'write "{near}"' if near else f"take one of {', '.join(known) or 'none: the folder is empty'}",
    )
