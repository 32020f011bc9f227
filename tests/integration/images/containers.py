"""Runs an image as a strict cluster would: its own user, a read-only root, no capability, /tmp in memory."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TIMEOUT_S = 60


class Container:
    """One image, run by runc in the machine's own network.

    :param bundle: an empty folder.
    :param root: the image's mounted root.
    :param config: its configuration, the inner `config` of it.
    :param env: variables besides those of the image.
    """

    def __init__(self, bundle: Path, root: Path, config: Mapping[str, Any], env: Mapping[str, str]) -> None:
        self.name = f"slipway-test-{uuid.uuid4().hex[:8]}"
        self._config = config
        self._env = [*config["Env"], *(f"{key}={value}" for key, value in env.items())]
        self._bundle = bundle
        self._state = bundle / "state"
        self._log = bundle / "output"
        (bundle / "config.json").write_text(json.dumps(self._specification(root)))

    def __enter__(self) -> Container:
        """Start the image's own command."""
        with self._log.open("wb") as log:
            self._runc("run", "--detach", "--bundle", str(self._bundle), self.name, stdout=log)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._runc("delete", "--force", self.name)

    @property
    def output(self) -> str:
        """What it has said."""
        return self._log.read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its user."""
        arguments = ["runc", "--root", str(self._state), "exec", self.name, *command]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)

    def healthcheck(self) -> int:
        """Run the image's own HEALTHCHECK, and return its exit code: 0 is healthy."""
        kind, *command = self._config["Healthcheck"]["Test"]
        return self.run(*(command if kind == "CMD" else ["sh", "-c", *command])).returncode

    def _runc(self, *arguments: str, stdout: Any = subprocess.DEVNULL) -> None:
        command = ["runc", "--root", str(self._state), *arguments]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stdout, timeout=TIMEOUT_S)

    def _specification(self, root: Path) -> dict[str, Any]:
        subprocess.run(["runc", "spec"], cwd=self._bundle, check=True, timeout=TIMEOUT_S)
        specification: dict[str, Any] = json.loads((self._bundle / "config.json").read_text())
        user, _, group = self._config["User"].partition(":")
        specification["root"] = {"path": str(root), "readonly": True}
        specification["process"] |= {
            "terminal": False,
            "user": {"uid": int(user), "gid": int(group or user)},
            "args": [*_command(self._config)],
            "env": self._env,
            "cwd": self._config.get("WorkingDir") or "/",
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [],
        }
        options = ["nosuid", "nodev", "mode=1777", "size=64m"]
        specification["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": options})  # noqa: S108
        # The machine's network, so that the test reaches the port.
        specification["linux"]["namespaces"] = [
            one for one in specification["linux"]["namespaces"] if one["type"] not in ("network", "cgroup")
        ]
        specification["mounts"] = [one for one in specification["mounts"] if one["type"] != "cgroup"]
        return specification


def _command(config: Mapping[str, Any]) -> Sequence[str]:
    return [*(config.get("Entrypoint") or []), *(config.get("Cmd") or [])]
