"""The testbed's Prometheus, taken away for a while: first it takes questions and never answers, then it is not there.

Both for everybody: nothing is scraped meanwhile, and what it knew is lost with its pod, as on a node that dies.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import psutil

from tests.e2e.cluster import eventually, get, kubectl, query, visit

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMESPACE, NAME = "monitoring", "main"
HANGS_S = 25.0
"""Shorter than the 30 s after which the kubelet would kill what does not answer its probes."""


def be_away(seconds: float) -> float:
    """Take Prometheus away, bring it back when the time is over, and return how long nobody could ask it.

    :param seconds: of the outage; beyond it come the seconds in which the pod starts.
    """
    begun = time.monotonic()
    try:
        with _stopped():
            time.sleep(HANGS_S)
            _scale(0)
            eventually("a router without a Prometheus", _is_refused_at_once, within_s=20)
        time.sleep(max(begun + seconds - time.monotonic(), 0))
    finally:
        _scale(1)
        eventually("Prometheus again", lambda: query("up"), within_s=90, every_s=1)
    return time.monotonic() - begun


def is_silent() -> bool:
    """Say whether a question gets no answer."""
    try:
        return not visit("prometheus", "/-/ready").is_success
    except httpx.HTTPError:
        return True


@contextmanager
def _stopped() -> Iterator[None]:
    """Keep the process from running while the block lasts; the kernel still takes its connections."""
    every = psutil.process_iter(["cmdline"])
    [process] = [one for one in every if (one.info["cmdline"] or [""])[0] == "/bin/prometheus"]
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _is_refused_at_once() -> bool:
    try:
        return visit("prometheus", "/-/ready").is_server_error
    except httpx.TimeoutException:
        return False


def _scale(replicas: int) -> None:
    kubectl("patch", "prometheus", NAME, f"--namespace={NAMESPACE}", "--type=merge",
            f'--patch={{"spec": {{"replicas": {replicas}}}}}')  # fmt: skip
    eventually(
        f"a StatefulSet for {replicas}",
        lambda: get("statefulset", f"prometheus-{NAME}", namespace=NAMESPACE)["spec"]["replicas"] == replicas,
        within_s=20,
    )
