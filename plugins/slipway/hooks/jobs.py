"""Runs one Kubernetes Job to its end, and brings back what it said."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import ClusterError
from slipway.hooks.cluster import CONFLICT, NOT_FOUND, code_of, worded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lightkube import Client

LOOK_S = 0.5
LAST_LINES = 200
SHOWN_LINES = 12


@dataclass(frozen=True)
class JobEnd:
    """How a Job ended.

    :param reason: what Kubernetes says of a failure: BackoffLimitExceeded, DeadlineExceeded, ...
    :param exit_code: of the container, None when it never ran.
    :param lines: the last lines of its log.
    """

    name: str
    succeeded: bool
    reason: str
    exit_code: int | None
    lines: tuple[str, ...]

    def require(self, what: str, *, mend: str | None = None) -> JobEnd:
        """Return this when it succeeded.

        :raises ClusterError: with its last words.
        """
        if not self.succeeded:
            code = "" if self.exit_code is None else f", exit code {self.exit_code}"
            words = "\n         ".join(self.lines[-SHOWN_LINES:]) or "no log"
            raise ClusterError(what, found=f"{self.reason or 'failed'}{code}\n         {words}", mend=mend)
        return self


@dataclass(frozen=True)
class Jobs:
    """Jobs in one namespace.

    :param log: takes the Job's log, line by line.
    """

    client: Client
    log: Callable[[str], object]

    def find(self, name: str) -> Mapping[str, Any] | None:
        """Return a Job, None when there is none of that name."""
        from lightkube.resources.batch_v1 import Job

        try:
            with worded(f"read Job {self.client.namespace}/{name}"):
                return self.client.get(Job, name).to_dict()
        except ClusterError as error:
            if code_of(error) == NOT_FOUND:
                return None
            raise

    def run(self, job: Mapping[str, Any], *, within_s: float) -> JobEnd:
        """Start a Job, or join it when it runs already, and wait for its end.

        :param job: the object; its name says what it is, so a repeated step finds the Job of the first time.
        :param within_s: longest wait, in seconds; the Job's own deadline ends the Job itself.
        :raises ClusterError: it did not end in time.
        """
        from lightkube.resources.batch_v1 import Job

        name = job["metadata"]["name"]
        if self.find(name) is None:
            try:
                with worded(f"create Job {self.client.namespace}/{name}"):
                    self.client.create(Job.from_dict(dict(job)))  # type: ignore[call-overload]
            except ClusterError as error:
                if code_of(error) != CONFLICT:
                    raise
        else:
            self.log(f"Job {name} is there already; waiting for its end")
        return self._wait(name, within_s)

    def _wait(self, name: str, within_s: float) -> JobEnd:
        deadline = time.monotonic() + within_s
        while True:
            found = self.find(name)
            if found is None:
                raise ClusterError(f"Job {self.client.namespace}/{name} is gone", mend="somebody deleted it; try again")
            conditions = (found.get("status") or {}).get("conditions") or []
            ended = next(
                (item for item in conditions if item["type"] in ("Complete", "Failed") and item["status"] == "True"),
                None,
            )
            if ended is not None:
                lines, code = self._words(name)
                for line in lines:
                    self.log(line)
                return JobEnd(name, ended["type"] == "Complete", str(ended.get("reason") or ""), code, lines)
            if time.monotonic() >= deadline:
                lines, _ = self._words(name)
                raise ClusterError(
                    f"Job {self.client.namespace}/{name} has not ended within {within_s:g} s",
                    found="\n         ".join(lines[-SHOWN_LINES:]) or "its pod said nothing",
                    mend=f"kubectl describe job {name} -n {self.client.namespace}",
                )
            time.sleep(LOOK_S)

    def _words(self, name: str) -> tuple[tuple[str, ...], int | None]:
        lines: list[str] = []
        code = None
        for pod in self._pods(name):
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                ended = (status.get("state") or {}).get("terminated") or {}
                code = ended.get("exitCode", code)
            try:
                with worded(f"read the log of pod {pod['metadata']['name']}"):
                    text = self.client.log(pod["metadata"]["name"], tail_lines=LAST_LINES, newlines=False)
                    lines += [line for line in text if line]
            except ClusterError:
                continue  # a pod that never started has no log
        return tuple(lines), code

    def _pods(self, job: str) -> Iterator[dict[str, Any]]:
        from lightkube.resources.core_v1 import Pod

        with worded(f"list the pods of Job {self.client.namespace}/{job}"):
            for pod in self.client.list(Pod, namespace=self.client.namespace, labels={"job-name": job}):
                yield pod.to_dict()
