"""Where the testbed keeps its files: a cache that outlives it, and a state folder that ``down`` removes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).parent
"""The package's own folder: the table of components, the templates, the add-ons, the Go modules."""


@dataclass(frozen=True)
class Home:
    """The two folders, and the names inside them that more than one module uses.

    :param cache: programs, base images and rendered manifests, each under a hash of what it was made from.
        Safe to delete: the next ``up`` makes it again.
    :param state: everything of the one running testbed: certificates, logs, etcd, pods.
    """

    cache: Path
    state: Path

    @classmethod
    def default(cls) -> Home:
        """Take the folders from the environment: XDG_CACHE_HOME and SLIPWAY_TESTBED_STATE, else the usual places."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        state = os.environ.get("SLIPWAY_TESTBED_STATE") or "/var/lib/slipway-testbed"
        return cls(cache=cache / "slipway" / "testbed", state=Path(state))

    @property
    def bin(self) -> Path:
        """Symbolic links to the programs that are in use now: the folder to put on PATH."""
        return self.cache / "bin"

    @property
    def registry(self) -> Path:
        """The registry's storage as the build left it; each testbed starts from a copy."""
        return self.cache / "registry"

    @property
    def manifests(self) -> Path:
        """One rendered file an add-on."""
        return self.cache / "manifests"

    @property
    def logs(self) -> Path:
        """One log file a process."""
        return self.state / "logs"

    @property
    def pki(self) -> Path:
        """The certificate authority and what it signed."""
        return self.state / "pki"

    @property
    def ca(self) -> Path:
        """The certificate to trust for the API server and for https through the ingress."""
        return self.pki / "ca.crt"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def control(self) -> Path:
        """The supervisor's UNIX socket."""
        return self.state / "control.sock"

    @property
    def pidfile(self) -> Path:
        """Who holds the process tree: see :mod:`testbed.sandbox`."""
        return self.state / "sandbox.json"

    def path(self) -> str:
        """Return a PATH on which our programs come first."""
        return f"{self.bin}:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
