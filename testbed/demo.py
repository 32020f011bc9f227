"""``make demo``: two releases of the sample application under real https traffic, told as they happen.

Version v2 is good and goes from 10 % over 50 % to everybody. Version v3 fails a fifth of its requests and is taken back
from 10 %. The numbers come from what users got. Exit code 0 only when both ended as they should.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from testbed import sandbox
from testbed.errors import StartError, UsageError
from testbed.home import SOURCE, Home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMESPACE = "demo"
HOST = "demo.testbed.internal"
OBJECTS = SOURCE / "demo.yaml"
HOLD_S = 9.0
PATIENCE_S = 60.0
PAUSE_BETWEEN_REQUESTS_S = 0.02
ERROR_RATE_MAX = 0.05
MIN_REQUESTS = 20
PAUSES = (1, 3)
"""Step indexes at which the Rollout waits: at 10 % and at 50 %."""
console = Console(highlight=False)


@dataclass(frozen=True)
class Outcome:
    """How one release ended."""

    version: str
    verdict: str
    seconds: float
    canary_requests: int
    failed: int


class Users:
    """Constant https traffic through the ingress, counted by version and status code."""

    def __init__(self, home: Home, address: str) -> None:
        self._curl = ["curl", "--silent", "--max-time", "5", "--cacert", str(home.ca), "--output", "/dev/null"]
        self._curl += ["--resolve", f"{HOST}:443:{address}", "--write-out", "%{http_code} %header{x-version}"]
        self.seen: Counter[tuple[str, bool]] = Counter()
        self._stop = threading.Event()

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """Send requests until the block ends."""
        thread = threading.Thread(target=self._visit)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _visit(self) -> None:
        while not self._stop.wait(PAUSE_BETWEEN_REQUESTS_S):
            done = subprocess.run(
                [*self._curl, f"https://{HOST}/"], text=True, capture_output=True, timeout=10, check=False
            )
            code, _, version = done.stdout.partition(" ")
            self.seen[version or "nobody", code == "200"] += 1

    def of(self, version: str) -> tuple[int, int]:
        """Return how many requests a version answered, and how many of them failed."""
        good, bad = self.seen[version, True], self.seen[version, False]
        return good + bad, bad

    def share(self, version: str, since: Counter[tuple[str, bool]]) -> float:
        """Return a version's share of the requests since a copy of the counter was taken, 0 to 1."""
        new = self.seen - since
        total = sum(new.values())
        return sum(count for (name, _), count in new.items() if name == version) / total if total else 0.0


def main(home: Home) -> list[Outcome]:
    """Carry both releases.

    :raises StartError: the cluster did not do what was asked within a minute.
    """
    running = sandbox.find(home)
    if running is None:
        raise UsageError("no testbed is running", do="make demo, which brings it up")
    say("v1 is installed: three pods, and users come in over https")
    _kubectl(home, "delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=true")
    _kubectl(home, "create", "namespace", NAMESPACE)
    _ship(home, "v1", error_rate=0.0)
    _wait(home, "v1 to be healthy", lambda status: status.get("phase") == "Healthy")
    users = Users(home, str(running.network.ingress))
    with users.visiting():
        outcomes = [_release(home, users, "v2", error_rate=0.0), _release(home, users, "v3", error_rate=0.2)]
    _kubectl(home, "delete", "namespace", NAMESPACE, "--wait=false")
    return outcomes


def _release(home: Home, users: Users, version: str, *, error_rate: float) -> Outcome:
    began = time.monotonic()
    say(f"{version} is shipped")
    _ship(home, version, error_rate=error_rate)
    for index, weight in zip(PAUSES, (10, 50), strict=True):
        _wait(home, f"{version} at {weight} %", partial(_is_paused_at, index))
        before = users.seen.copy()
        time.sleep(HOLD_S)  # the hold is the point: users meet the canary meanwhile
        served, failed = users.of(version)
        share = users.share(version, before)
        say(f"  weight {weight} %: observed share {share:.0%}, {version} answered {served} requests, {failed} failed")
        if served >= MIN_REQUESTS and failed / served > ERROR_RATE_MAX:
            say(f"  {failed / served:.0%} of its requests fail, more than {ERROR_RATE_MAX:.0%}: it is taken back")
            _patch(home, {"abort": True})
            _wait(home, f"{version} to be without traffic", lambda status: status.get("abort") is True)
            _ship(home, "v2", error_rate=0.0)
            _wait(home, "health on the old version", lambda status: status.get("phase") == "Healthy")
            return Outcome(version, "taken back", time.monotonic() - began, *users.of(version))
        _patch(home, {"pauseConditions": None})
    _wait(home, f"{version} to be promoted", lambda status: status.get("phase") == "Healthy")
    say(f"  {version} is promoted")
    return Outcome(version, "promoted", time.monotonic() - began, *users.of(version))


def _is_paused_at(index: int, status: dict[str, Any]) -> bool:
    return status.get("phase") == "Paused" and status.get("currentStepIndex") == index


def _ship(home: Home, version: str, *, error_rate: float) -> None:
    text = OBJECTS.read_text(encoding="utf-8").replace("@VERSION", version).replace("@ERROR_RATE", str(error_rate))
    # Not server-side: the weights and selectors in the cluster are Argo's, and a client-side apply leaves them alone.
    _kubectl(home, "apply", "--filename=-", stdin=text)


def _patch(home: Home, status: dict[str, Any]) -> None:
    body = json.dumps({"status": status})
    _kubectl(home, "patch", "rollout", "sample", "--subresource=status", "--type=merge", f"--patch={body}")


def _wait(home: Home, what: str, is_so: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = json.loads(_kubectl(home, "get", "rollout", "sample", "-o", "json"))
        status = found.get("status", {})
        if status.get("observedGeneration") == str(found["metadata"]["generation"]) and is_so(status):
            return
        time.sleep(0.2)
    raise StartError(
        f"waited {PATIENCE_S:g} s for {what}",
        found=f"phase {status.get('phase')}, step {status.get('currentStepIndex')}: {status.get('message', '')}",
        do="python -m testbed logs argo-rollouts",
    )


def _kubectl(home: Home, *arguments: str, stdin: str | None = None) -> str:
    command = [str(home.bin / "kubectl"), f"--kubeconfig={home.kubeconfig}", f"--namespace={NAMESPACE}", *arguments]
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise StartError(f"kubectl {arguments[0]} failed", found=done.stderr.strip(), do="python -m testbed status")
    return done.stdout


def say(text: str) -> None:
    """Tell what happens, with the time."""
    console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim]  {text}")


def _table(outcomes: list[Outcome]) -> Table:
    drawn = Table("RELEASE", "VERDICT", "TIME", "CANARY REQUESTS", "FAILED", box=None, header_style="bold")
    for item in outcomes:
        row = (item.version, item.verdict, f"{item.seconds:.0f} s", str(item.canary_requests), str(item.failed))
        drawn.add_row(*row)
    return drawn


if __name__ == "__main__":
    here = Home.default()
    ended = main(here)
    console.print()
    console.print(_table(ended))
    console.print("\nlook around: python -m testbed status; end it: make down")
    sys.exit(0 if [item.verdict for item in ended] == ["promoted", "taken back"] else 1)
