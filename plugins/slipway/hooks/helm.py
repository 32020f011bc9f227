"""Helm, as a program: render, compare, upgrade, go back to a recorded revision.

Always a three-way merge: Argo Rollouts owns the selectors of the Services and the weights of the route, and an apply on
the server's side would fight it for them. Helm 3 merges so by itself; Helm 4 is told to. Never --wait, which hangs on a
Rollout, and never --rollback-on-failure, which would act behind slipway's back.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

from slipway.errors import HelmError
from slipway.hooks.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from slipway.hooks.process import Completed

RENDER_S = 60
_ABSENT = re.compile(r"release: not found|has no deployed releases", re.IGNORECASE)


@dataclass(frozen=True)
class Revision:
    """One revision of a Helm release.

    :param status: Helm's word: deployed, superseded, failed, pending-upgrade, ...
    """

    number: int
    status: str
    chart: str
    description: str


@dataclass(frozen=True)
class Helm:
    """Helm for one release.

    :param release: its name.
    :param kubeconfig: path of the file; context as in `slipway.hooks.cluster`.
    :param log: takes what Helm says, line by line.
    :param change_s: longest upgrade or rollback, in seconds.
    :param history: revisions that Helm keeps: the one to go back to must be among them.
    """

    release: str
    namespace: str
    kubeconfig: str
    context: str | None = None
    log: Callable[[str], object] | None = None
    program: str = "helm"
    change_s: float = 300
    history: int = 20

    def render(self, chart: Path, overlays: Sequence[Path], values: Mapping[str, Any], *extra: str) -> str:
        """Render a chart without a cluster, its schema checked.

        :param overlays: files of values, the later one winning.
        :param values: the last layer.
        :raises HelmError: the chart or the values are refused.
        """
        done = self._run(
            ["template", self.release, str(chart), *self._layers(overlays), *extra], RENDER_S, stdin=_text(values)
        )
        return done.require(f"{chart}: the chart does not render", error=HelmError, mend=_VALUES_MEND).stdout

    def lint(self, chart: Path, overlays: Sequence[Path], values: Mapping[str, Any]) -> None:
        """Check a chart with its values.

        :raises HelmError: with what Helm found.
        """
        done = self._run(["lint", "--strict", str(chart), *self._layers(overlays)], RENDER_S, stdin=_text(values))
        if done.returncode != 0:
            raise HelmError(
                f"{chart}: helm lint refuses the chart", found=done.stdout.strip()[-2000:], mend=_VALUES_MEND
            )

    def rehearse(self, chart: Path, overlays: Sequence[Path], values: Mapping[str, Any]) -> str:
        """Return the manifest that an upgrade would apply, after the API server has checked it (dry run).

        :raises HelmError: the cluster would refuse it.
        """
        arguments = [*self._upgrade(chart, overlays), "--dry-run=server", "--output=json"]
        done = self._run(arguments, self.change_s, stdin=_text(values))
        done.require(f"the cluster would refuse {self._place}", error=HelmError, mend=_VALUES_MEND)
        return str(json.loads(done.stdout)["manifest"])

    def upgrade(self, chart: Path, overlays: Sequence[Path], values: Mapping[str, Any], description: str) -> Revision:
        """Install or upgrade, and return the new revision.

        A revision that a killed Helm left pending is taken out of the way first: Helm refuses to start otherwise.

        :param description: stands in `helm history`; say whose release it is.
        """
        self._clear_pending()
        arguments = [*self._upgrade(chart, overlays), f"--description={description}"]
        done = self._run(arguments, self.change_s, stdin=_text(values))
        done.require(f"helm upgrade of {self._place} failed", error=HelmError)
        found = self.current()
        if found is None or found.description != description:
            raise HelmError(f"{self._place}: the revision just made is not the current one", found=str(found))
        return found

    def roll_back(self, revision: int, *, description: str = "") -> None:
        """Go back to a recorded revision; nothing happens when its manifest is the current one.

        :param revision: its number, as recorded; never "the previous one", which may be a failed one.
        :param description: for the log only: Helm writes its own into the history.
        """
        current = self.current()
        if current is not None and current.status == "deployed" and self.manifest() == self.manifest(revision):
            self._say(f"{self._place} is at the manifest of revision {revision} already")
            return
        self._clear_pending()
        self._say(f"{self._place}: back to revision {revision}{description and f' ({description})'}")
        done = self._run(["rollback", self.release, str(revision), *self._merge, *self._kept], self.change_s)
        done.require(f"helm rollback of {self._place} to revision {revision} failed", error=HelmError)

    def revisions(self) -> list[Revision]:
        """Return the revisions, oldest first; empty when the release does not exist."""
        done = self._run(["history", self.release, "--output=json", f"--max={self.history}"], RENDER_S)
        if done.returncode != 0 and _ABSENT.search(done.stderr):
            return []
        done.require(f"cannot read the history of {self._place}", error=HelmError)
        return [
            Revision(int(item["revision"]), item["status"], item["chart"], item.get("description", ""))
            for item in json.loads(done.stdout)
        ]

    def current(self) -> Revision | None:
        """Return the newest revision whatever its status, None when there is none."""
        return max(self.revisions(), key=lambda item: item.number, default=None)

    def deployed(self) -> Revision | None:
        """Return the newest revision that is deployed."""
        good = [item for item in self.revisions() if item.status == "deployed"]
        return max(good, key=lambda item: item.number, default=None)

    def manifest(self, revision: int | None = None) -> str:
        """Return the manifest of a revision, of the current one when None."""
        which = [f"--revision={revision}"] if revision is not None else []
        done = self._run(["get", "manifest", self.release, *which], RENDER_S)
        return done.require(f"cannot read the manifest of {self._place}", error=HelmError).stdout

    def values(self, revision: int | None = None) -> dict[str, Any]:
        """Return all values of a revision: the chart's own and those that were given."""
        which = [f"--revision={revision}"] if revision is not None else []
        done = self._run(["get", "values", self.release, "--all", "--output=json", *which], RENDER_S)
        return json.loads(done.require(f"cannot read the values of {self._place}", error=HelmError).stdout) or {}

    @property
    def _place(self) -> str:
        return f"release {self.namespace}/{self.release}"

    @cached_property
    def _merge(self) -> list[str]:
        version = self._run(["version", "--short"], RENDER_S).stdout
        return ["--server-side=false"] if re.match(r"v?4\.", version.strip()) else []

    @property
    def _kept(self) -> list[str]:
        return [f"--history-max={self.history}"]

    def _upgrade(self, chart: Path, overlays: Sequence[Path]) -> list[str]:
        return [
            "upgrade", self.release, str(chart), "--install", "--create-namespace",
            *self._merge, *self._kept, *self._layers(overlays),
        ]  # fmt: skip

    @staticmethod
    def _layers(overlays: Sequence[Path]) -> list[str]:
        return [*(f"--values={path}" for path in overlays), "--values=-"]

    def _clear_pending(self) -> None:
        current = self.current()
        if current is None or not current.status.startswith("pending"):
            return
        self._say(f"{self._place}: revision {current.number} was left {current.status} by a killed Helm; removing it")
        secret = f"sh.helm.release.v1.{self.release}.v{current.number}"
        self._kubectl_delete(secret)

    def _kubectl_delete(self, secret: str) -> None:
        from lightkube.resources.core_v1 import Secret

        from slipway.hooks.cluster import connected, worded

        with (
            connected(self.kubeconfig, self.context, self.namespace) as client,
            worded(f"remove {secret} in {self.namespace}"),
        ):
            client.delete(Secret, secret)

    def _run(self, arguments: Sequence[str], timeout_s: float, *, stdin: str | None = None) -> Completed:
        where = [f"--namespace={self.namespace}", f"--kubeconfig={self.kubeconfig}"]
        context = [f"--kube-context={self.context}"] if self.context else []
        return run(
            [self.program, *arguments, *where, *context],
            timeout_s=timeout_s, env={**os.environ, "HELM_NO_PLUGINS": "1"}, stdin=stdin, log=self.log, error=HelmError,
        )  # fmt: skip

    def _say(self, line: str) -> None:
        if self.log is not None:
            self.log(line)


_VALUES_MEND = "correct the values of this environment, or the chart; nothing was changed"


def _text(values: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(values))
