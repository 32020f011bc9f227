"""Acceptance box "7.6: manual rollback script < 1 minute": scripts/release/rollback.sh, with bash and kubectl alone.

A user sends requests all the while; what is measured is the last one that the bad version answered.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from slipway.hooks import cluster
from slipway.hooks.rollouts import Rollout
from slipway.rollouts.state import Phase, RolloutState

from tests.e2e.cluster import HOME, apply, eventually, get, kubectl, service, web, weighted_route, workload
from tests.e2e.test_rollouts import HOLDS, REPLICAS, STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(__file__).parent.parent.parent / "scripts/release/rollback.sh"
HOST = "rollback-script"


class Users:
    """Send requests one after the other, 100 a second at most, until they are told to go home."""

    def __init__(self) -> None:
        self.answers: list[tuple[float, str]] = []
        self._home = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Users:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._home.set()
        self._thread.join(timeout=10)

    def _ask(self) -> None:
        with web(HOST) as client:
            while not self._home.wait(0.01):
                try:
                    answer = client.get("/")
                    said = answer.headers.get("X-Version", str(answer.status_code))
                except httpx.HTTPError as error:
                    said = type(error).__name__
                self.answers.append((time.monotonic(), said))

    def since(self, moment: float, version: str) -> list[float]:
        """Return when a version answered, in seconds after a moment."""
        return [at - moment for at, said in self.answers if said == version and at > moment]

    def see(self, version: str) -> None:
        """Wait until a version answers now, so that its last answer is one that was waited for."""
        asked = time.monotonic()
        eventually(f"an answer of {version}", lambda: self.since(asked, version), within_s=20, every_s=0.02)

    def failed(self) -> list[str]:
        """Return what was no answer of a version."""
        return [said for _, said in self.answers if not said.startswith("v")]


class Shop:
    """A Rollout with a stable version, releases of it, and the script."""

    def __init__(self, rollout: Rollout, image: str) -> None:
        self.rollout = rollout
        self.image = image
        self.namespace = str(rollout.client.namespace)

    def ship(self, version: str) -> RolloutState:
        strategy = {
            "canary": {
                "canaryService": "canary",
                "stableService": "stable",
                "trafficRouting": {"traefik": {"weightedTraefikServiceName": "shop"}},
                "steps": STEPS,
            }
        }
        made = workload(
            "Rollout", "shop", self.image, replicas=REPLICAS, strategy=strategy, environment={"VERSION": version}
        )
        apply(self.namespace, made)
        return self.rollout.wait(
            f"shipped as {version}",
            lambda state: state.fresh and (state.is_settled or state.phase is Phase.PAUSED),
            within_s=40,
        )

    def ship_to(self, version: str, pause: int) -> str:
        """Ship a version, walk it to a pause of its steps, and return its hash."""
        hash_ = self.ship(version).current_hash
        for step in [hold for hold in HOLDS if hold < pause]:
            self.rollout.promote(step, hash_)
            self.rollout.wait(
                f"past {step}", lambda state: state.phase is Phase.PAUSED or state.is_settled, within_s=40
            )
        self.rollout.wait(f"at {pause}", lambda state: state.waits_at(pause, hash_), within_s=40)
        return hash_

    def promote_fully(self, version: str) -> str:
        """Ship a version and let Argo skip its steps, which slipway never does; how it was promoted is not tested."""
        hash_ = self.ship(version).current_hash
        skip = json.dumps({"status": {"promoteFull": True}})
        where = ("rollout", "shop", f"--namespace={self.namespace}")
        kubectl("patch", *where, "--subresource=status", "--type=merge", "--patch", skip)
        self.rollout.wait("promoted", lambda state: state.is_settled and state.stable_hash == hash_, within_s=40)
        return hash_

    @property
    def version(self) -> str:
        template = get("rollout", "shop", namespace=self.namespace)["spec"]["template"]
        return str(template["spec"]["containers"][0]["env"][0]["value"])


ENVIRONMENT = {"PATH": str(HOME.bin), "HOME": str(HOME.state)}
"""No program beside kubectl; it keeps what it knows of the API server below HOME."""


def command(*arguments: str, rollout: str = "shop") -> list[str]:
    return ["/bin/bash", str(SCRIPT), "--rollout", rollout, "--kubeconfig", str(HOME.kubeconfig), *arguments]


def run(*arguments: str, rollout: str = "shop", timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the script where bash finds nothing but kubectl."""
    return subprocess.run(
        command(*arguments, rollout=rollout),
        text=True, capture_output=True, timeout=timeout_s, check=False, env=ENVIRONMENT,
    )  # fmt: skip


def seconds(printed: str, words: str) -> float:
    """Return the time that the script printed before some words."""
    found = re.search(rf"^\[ *([0-9.]+) s\] .*{re.escape(words)}", printed, re.MULTILINE)
    assert found, f"{words!r} is not in\n{printed}"
    return float(found[1])


@pytest.fixture(scope="module")
def shop(image: str, namespace: str) -> Iterator[Shop]:
    route = weighted_route("shop", HOST, {"stable": 100, "canary": 0})
    apply(namespace, service("stable", "shop"), service("canary", "shop"), *route)
    with cluster.connected(str(HOME.kubeconfig), None, namespace) as client:
        yield Shop(Rollout(client, "shop"), image)


def test_a_first_install_is_held_at_no_pods_but_one_that_serves_only_on_demand(shop: Shop) -> None:
    made = workload(
        "Rollout", "first", shop.image, replicas=1, strategy={"canary": {}}, pod={"terminationGracePeriodSeconds": 1}
    )
    made["spec"]["paused"] = True
    apply(shop.namespace, made)
    first = Rollout(shop.rollout.client, "first")
    first.wait("held by its chart", lambda state: state.fresh and state.phase is Phase.PAUSED, within_s=20)
    done = run("--namespace", shop.namespace, "--yes", rollout="first")
    assert done.returncode == 0, done.stderr
    assert "first install: there is no version to go back to; hold it at 0 pods" in done.stdout
    state = first.state()
    assert (state.spec_paused, state.desired) == (True, 0)
    again = run("--namespace", shop.namespace, "--yes", rollout="first")
    assert again.returncode == 0, again.stderr
    assert "nothing to do: this first install is held at 0 pods already" in again.stdout

    first.scale(1)
    first.hold(paused=False)
    first.wait("serving", lambda state: state.is_settled and state.available == 1, within_s=40)
    served = run("--namespace", shop.namespace, "--yes", rollout="first")
    assert served.returncode == 5
    assert "serves users, and there is no other to go back to" in served.stderr
    assert first.state().available == 1
    ended = run("--namespace", shop.namespace, "--yes", "--to", "none", rollout="first")
    assert ended.returncode == 0, ended.stderr
    assert first.state().desired == 0


def test_a_canary_with_traffic_goes_back_and_a_second_run_does_nothing(shop: Shop) -> None:
    """7.6: manual rollback script < 1 minute. Before the promotion: <= 3 s to the last canary response, <= 20 s."""
    assert shop.ship("v1").is_settled
    old = shop.rollout.state().stable_hash
    bad = shop.ship_to("v2", 6)
    with Users() as users:
        before = get("rollout", "shop", namespace=shop.namespace)["metadata"]
        looked = run("--namespace", shop.namespace, "--dry-run")
        assert looked.returncode == 0, looked.stderr
        assert f"abort version {bad}, and put the template of version {old} back" in looked.stdout
        assert get("rollout", "shop", namespace=shop.namespace)["metadata"] == before, "a dry run changes nothing"
        assert shop.rollout.state().waits_at(6, bad)

        users.see("v2")
        started = time.monotonic()
        done = run("--namespace", shop.namespace, "--yes")
        whole_s = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        eventually("requests after it", lambda: len(users.since(started + whole_s, "v1")) > 50, within_s=20)
    last_s = max(users.since(started, "v2"), default=0.0)
    asked = len(users.since(started, "v1")) + len(users.since(started, "v2"))
    print(f"before the promotion: last canary response {last_s:.2f} s after the command, whole {whole_s:.2f} s")
    print(f"  ({asked} requests, {len(users.since(started, 'v2'))} of them answered by the canary)")
    print(done.stdout)
    assert last_s <= 3
    assert whole_s <= 20
    assert users.failed() == []
    assert seconds(done.stdout, "aborted: the traffic is on version") <= seconds(done.stdout, "done: healthy")
    assert shop.version == "v1"
    state = shop.rollout.state()
    assert state.is_settled
    assert state.stable_hash == old

    generation = get("rollout", "shop", namespace=shop.namespace)["metadata"]["generation"]
    again = run("--namespace", shop.namespace, "--yes")
    assert again.returncode == 0, again.stderr
    assert "nothing to do: the last change was the way back" in again.stdout
    assert get("rollout", "shop", namespace=shop.namespace)["metadata"]["generation"] == generation


def test_a_promoted_version_goes_back_through_all_pauses(shop: Shop) -> None:
    """7.6: manual rollback script < 1 minute. After the promotion: < 60 s in all."""
    old = shop.rollout.state().stable_hash
    bad = shop.promote_fully("v3")
    with Users() as users:
        users.see("v3")
        started = time.monotonic()
        done = run("--namespace", shop.namespace, "--yes", timeout_s=90)
        whole_s = time.monotonic() - started
        assert done.returncode == 0, done.stderr
        eventually("requests after it", lambda: len(users.since(started + whole_s, "v1")) > 50, within_s=20)
    last_s = max(users.since(started, "v3"))
    print(f"after the promotion: last response of the bad version {last_s:.2f} s, whole {whole_s:.2f} s")
    print(done.stdout)
    assert whole_s < 60
    assert last_s < 60
    assert users.failed() == []
    assert f"put the template of version {old} back, and walk it to 100 % in place of version {bad}" in done.stdout
    assert done.stdout.count("going on without a hold") == len(HOLDS)
    assert shop.rollout.state().stable_hash == old
    assert shop.version == "v1"
    metadata: dict[str, Any] = get("rollout", "shop", namespace=shop.namespace)["metadata"]
    assert "slipway.dev/going-back" not in metadata["annotations"]

    again = run("--namespace", shop.namespace, "--yes")
    assert again.returncode == 0, again.stderr
    assert f"nothing to do: the last change was the way back from version {bad} to version {old}" in again.stdout
    assert shop.rollout.state().stable_hash == old


def test_a_way_back_that_was_killed_goes_on_and_is_never_taken_for_a_canary(shop: Shop) -> None:
    """The older version is the canary then: an abort would give the bad one its traffic back."""
    old = shop.rollout.state().stable_hash
    bad = shop.promote_fully("v4")
    with subprocess.Popen(
        command("--namespace", shop.namespace, "--yes"), env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
        start_new_session=True,
    ) as walking:  # fmt: skip
        assert walking.stdout is not None
        assert any("going on without a hold" in line for line in walking.stdout)
        os.killpg(walking.pid, signal.SIGKILL)
    assert shop.rollout.state().is_canary
    looked = run("--namespace", shop.namespace, "--dry-run")
    assert f"on the way back from version {bad} to version {old}: go on to 100 %" in looked.stdout

    # Nobody leaves a mark who goes back by `helm rollback` and is killed.
    kubectl("annotate", "rollout", "shop", f"--namespace={shop.namespace}", "slipway.dev/going-back-")
    asked = run("--namespace", shop.namespace, "--yes")
    assert asked.returncode == 5
    assert f"--to {old} gives it all the traffic, --to {bad} takes its traffic away" in asked.stderr
    state = shop.rollout.state()
    assert (state.current_hash, state.stable_hash, state.aborted) == (old, bad, False), "nothing was touched"
    done = run("--namespace", shop.namespace, "--yes", "--to", old, timeout_s=90)
    assert done.returncode == 0, done.stderr
    assert shop.rollout.state().stable_hash == old


@pytest.mark.parametrize(
    ("arguments", "rollout", "code", "sentence"),
    [
        (["--namespace", "no-such-namespace"], "shop", 4, "the namespace no-such-namespace does not exist\n"),
        (["--namespace", "default"], "shop", 4, "there is no Rollout shop in default\n"),
        (["--namespace", "default", "--context", "nowhere"], "shop", 2, "the kubeconfig has no context nowhere\n"),
    ],
)
def test_a_wrong_place_is_named_in_one_sentence(
    bed: None, arguments: list[str], rollout: str, code: int, sentence: str
) -> None:
    done = run(*arguments, "--yes", rollout=rollout)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(sentence)


def test_a_cluster_that_is_away_is_said_in_one_sentence(bed: None, tmp_path: Path) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(HOME.kubeconfig.read_text().replace(":6443", ":1"))
    done = run("--namespace", "default", "--kubeconfig", str(nowhere), "--yes", timeout_s=20)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("read Rollout default/shop: the cluster does not answer (The connection to the")
    assert len(done.stderr.splitlines()) == 2


def test_a_version_that_is_not_there_is_refused_with_those_that_are(shop: Shop) -> None:
    done = run("--namespace", shop.namespace, "--to", "0123456789", "--yes")
    assert done.returncode == 4
    assert "no ReplicaSet of version 0123456789 is there" in done.stderr
    assert f"version {shop.rollout.state().stable_hash}, revision " in done.stdout
