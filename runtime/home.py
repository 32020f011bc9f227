"""The one folder in which the runtime keeps all of its files; ``down`` removes it.

``down`` removes a whole tree as root, so a folder is taken only when it is surely ours: see :meth:`Home.check`.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import UsageError

REPOSITORY = Path(__file__).resolve().parent.parent
MARK = ".slipway-runtime"
"""The file that says a folder is ours, and may be removed."""
LEAST_DEPTH = 2
"""A folder directly below / is somebody else's."""


@dataclass(frozen=True)
class Home:
    """The state folder, and the names inside it that more than one module uses.

    :param folder: an absolute path.
    """

    folder: Path

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME: the generated airflow.cfg, and the logs of tasks and DAG files."""
        return self.folder / "airflow"

    @property
    def logs(self) -> Path:
        """One log file a part."""
        return self.folder / "logs"

    @property
    def keys(self) -> Path:
        """Generated keys and passwords."""
        return self.folder / "keys.json"

    @property
    def logins(self) -> Path:
        """Who may log in, with which password: the file that Airflow's SimpleAuthManager reads."""
        return self.folder / "logins.json"

    @property
    def environment(self) -> Path:
        """What ``python -m runtime env`` has a shell read."""
        return self.folder / "environment"

    @property
    def supervisord(self) -> Path:
        """The configuration of supervisord."""
        return self.folder / "supervisord.conf"

    @property
    def socket(self) -> Path:
        """Supervisord's UNIX socket."""
        return self.folder / "supervisor.sock"

    @property
    def pidfile(self) -> Path:
        """Who holds the process tree: see :mod:`runtime.tree`."""
        return self.folder / "tree.json"

    @property
    def schema(self) -> Path:
        """Which Airflow has prepared the database."""
        return self.folder / "schema"

    @property
    def mark(self) -> Path:
        """The file that says the folder is ours."""
        return self.folder / MARK

    def check(self) -> None:
        """Refuse a folder that ``down`` must never remove.

        :raises UsageError: it is not absolute, contains something of somebody else, or is too near to the root.
        """
        reason = self._objection()
        if reason:
            raise UsageError(
                f"SLIPWAY_RUNTIME_HOME={self.folder} cannot be the runtime's folder: {reason}",
                do="name a folder that does not exist yet, like /var/lib/slipway-runtime",
            )

    def create(self) -> None:
        """Make the folder, for its owner alone, and mark it as ours."""
        self.check()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.mark.touch()
        for folder in (self.airflow, self.logs):
            folder.mkdir(mode=0o700, exist_ok=True)

    def remove(self) -> bool:
        """Remove the folder with all that is in it.

        :return: whether it was there.
        :raises UsageError: it is not ours.
        """
        self.check()
        if not self.folder.exists():
            return False
        shutil.rmtree(self.folder)
        return True

    def _objection(self) -> str:
        if not self.folder.is_absolute() or ".." in self.folder.parts:
            return "it is not an absolute path"
        resolved = self.folder.resolve()
        if resolved != self.folder:
            return f"it leads through a symbolic link to {resolved}"
        if len(resolved.parts) <= LEAST_DEPTH:
            return "it is too near to the root of the file system"
        if any(precious.is_relative_to(resolved) for precious in (REPOSITORY, Path.home().resolve(), Path.cwd())):
            return "it contains the repository, your home or the current folder"
        if resolved.is_relative_to(REPOSITORY):
            return "it lies in the repository"
        if not self.folder.exists():
            return ""
        if not self.folder.is_dir():
            return "it is a file"
        if any(self.folder.iterdir()) and not self.mark.is_file():
            return f"it is not empty, and has no {MARK} that says it is ours"
        return ""
