"""scripts/release/rollback.sh over a kubectl that plays a small Argo Rollouts, and loses patches as the real one does.

Acceptance box "7.6: manual rollback script < 1 minute": that it works is proved in tests/e2e/test_rollback_script.py;
here is what it refuses, and what it does when something goes wrong.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts/release/rollback.sh"
LABEL = "rollouts-pod-template-hash"
PLACE = ("--namespace", "shop", "--rollout", "api")


class World:
    """A cluster in a file, and the script that has bash and kubectl alone."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "bin").mkdir()
        kubectl = home / "bin/kubectl"
        kubectl.write_text(f"#!{sys.executable} -IS\n{Path(__file__).with_name('kubectl.py').read_text()}")
        kubectl.chmod(0o755)
        (home / "calls").touch()
        self.write(stable="old", current="new", step=1)

    def write(self, *, stable: str, current: str, step: int = 4, old: str = "old", **trouble: Any) -> None:
        """Set the scene: two versions, `old` being the older one."""
        sets = {}
        for number, hash_ in enumerate(("old", "new"), start=1):
            created = f"2026-01-0{1 if hash_ == old else 2}T00:00:00Z"
            annotations = {"rollout.argoproj.io/revision": str(number + 2 * (hash_ == stable == current))}
            owners = [{"uid": "u-1"}]
            metadata: dict[str, Any] = {"name": f"api-{hash_}", "labels": {LABEL: hash_}, "annotations": annotations}
            metadata |= {"creationTimestamp": created, "ownerReferences": owners}
            template = {"metadata": {"labels": {LABEL: hash_}}, "spec": {"containers": [{"image": f"api:{hash_}"}]}}
            sets[hash_] = {"metadata": metadata, "spec": {"template": template}}
        settled = stable == current
        weight = {"canary": {"weights": {"canary": {"weight": 0 if settled else 10}}}}
        status: dict[str, Any] = {"observedGeneration": "7", "currentPodHash": current, "stableRS": stable, **weight}
        status |= {"phase": "Healthy" if settled else "Paused", "currentStepIndex": step, "availableReplicas": 3}
        status |= {} if settled else {"pauseConditions": [{"reason": "CanaryPauseStep"}]}
        metadata = {"uid": "u-1", "resourceVersion": 100, "generation": 7, "annotations": {"a": "b"}}
        spec: dict[str, Any] = {"replicas": 3, "strategy": {"canary": {"steps": [{}] * 4}}}
        rollout = {"metadata": metadata, "spec": spec, "status": status}
        world = {"rollout": rollout, "replicasets": sets, **trouble}
        (self.home / "world.json").write_text(json.dumps(world))

    def change(self, **status: Any) -> None:
        world = self.now
        world["rollout"]["status"] |= status
        (self.home / "world.json").write_text(json.dumps(world))

    @property
    def now(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.home / "world.json").read_text())
        return found

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.now["rollout"]["status"]
        return found

    @property
    def patches(self) -> list[list[str]]:
        calls = [json.loads(line) for line in (self.home / "calls").read_text().splitlines()]
        return [call for call in calls if "patch" in call]

    def run(self, *arguments: str, place: tuple[str, ...] = PLACE) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": str(self.home / "bin"), "HOME": str(self.home)}
        return subprocess.run(
            [shutil.which("bash") or "bash", str(SCRIPT), *place, *arguments],
            capture_output=True, text=True, timeout=60, check=False, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_help_names_every_option_and_exit_code(world: World) -> None:
    done = world.run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("--namespace", "--rollout", "--kubeconfig", "--context", "--to", "--dry-run", "--yes", "--timeout"):
        assert f"\n  {word} " in done.stdout
    assert [line[2] for line in done.stdout.partition("Exit codes:\n")[2].splitlines()] == list("012345")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frce"], "--frce: unknown option\n  do     see --help\n"),
        (["surplus"], "surplus: unknown option\n  do     see --help\n"),
        (["--to"], "--to: its value is missing\n  do     see --help\n"),
        (
            ["--namespace", "a;reboot"],
            "--namespace: a\\;reboot is no name of a namespace\n  do     use a-z, 0-9 and -\n",
        ),
        (["--namespace", "-A"], "--namespace: -A is no name of a namespace\n  do     use a-z, 0-9 and -\n"),
        (["--namespace", "a\nb"], "--namespace: $'a\\nb' is no name of a namespace\n  do     use a-z, 0-9 and -\n"),
        (["--rollout", "$(id)"], "--rollout: \\$\\(id\\) is no name of a Rollout\n  do     use a-z, 0-9, - and .\n"),
        (["--rollout", "../x"], "--rollout: ../x is no name of a Rollout\n  do     use a-z, 0-9, - and .\n"),
        (["--to", "x|y"], "--to: x\\|y is no pod-template hash\n  do     take one that --dry-run lists\n"),
        (
            ["--context", "--help"],
            "--context: --help is no name of a context\n  do     kubectl config get-contexts --output name\n",
        ),
        (["--timeout", "1e3"], "--timeout: 1e3 is no number of seconds\n  do     write for example --timeout 300\n"),
        (["--kubeconfig", "/no/file"], "--kubeconfig: /no/file is no file that can be read\n  do     name one\n"),
        ([], "there is no terminal to ask on\n  do     give --yes, or --dry-run to look first\n"),
    ],
)
def test_what_is_refused_is_named_before_the_cluster_is_asked(world: World, arguments: list[str], said: str) -> None:
    done = world.run(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert (world.home / "calls").read_text() == ""


def test_without_a_place_it_asks_for_one(world: World) -> None:
    assert world.run("--yes", place=()).stderr.startswith("--namespace is missing\n")
    assert world.run("--yes", place=("--namespace", "shop")).stderr.startswith("--rollout is missing\n")


def test_without_kubectl_it_says_so(world: World) -> None:
    (world.home / "bin/kubectl").unlink()
    done = world.run("--yes")
    assert (done.returncode, done.stderr) == (2, "kubectl is not there\n  do     install it, or put it on PATH\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
            3, "read Rollout shop/api: the cluster does not answer (The connection to the server 127.0.0.1:1 was",
        ),
        (
            'Error from server (Forbidden): rollouts.argoproj.io "api" is forbidden: User "x" cannot get it',
            3, "read Rollout shop/api: the cluster does not let you (Error from server (Forbidden)",
        ),
        ("error: You must be logged in to the server (Unauthorized)", 3, "read Rollout shop/api: the cluster does not"),
        ('error: context "prod" does not exist', 2, "the kubeconfig has no context that is current\n"),
        ("Error from server (NotFound): the server could not find it", 4, "the namespace shop does not exist\n"),
    ],
)  # fmt: skip
def test_a_cluster_that_says_no_is_told_in_one_sentence(world: World, error: str, code: int, said: str) -> None:
    world.write(stable="old", current="new", fails=error)
    done = world.run("--yes")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 2


def test_a_lost_abort_is_noticed_and_sent_again(world: World) -> None:
    world.write(stable="old", current="new", step=3, lost=1)
    done = world.run("--yes")
    assert done.returncode == 0, done.stderr
    aborts = [call for call in world.patches if "--subresource=status" in call]
    assert len(aborts) == 2
    assert any("nudged-at" in word for call in world.patches for word in call), "the controller was woken"
    assert (world.status["currentPodHash"], world.status["stableRS"], world.status["phase"]) == (
        "old",
        "old",
        "Healthy",
    )


def test_an_aborted_canary_is_not_aborted_again(world: World) -> None:
    world.change(abort=True, phase="Degraded", canary={"weights": {"canary": {"weight": 0}}})
    done = world.run("--yes")
    assert done.returncode == 0, done.stderr
    assert "aborted before: no traffic goes to version new" in done.stdout
    assert [call for call in world.patches if "--subresource=status" in call] == []
    assert world.status["currentPodHash"] == "old"


def test_a_version_that_somebody_ships_meanwhile_is_left_alone(world: World) -> None:
    world.write(stable="old", current="new", step=1, shipped="hotfix")
    done = world.run("--yes")
    assert done.returncode == 5
    assert done.stderr.startswith("shop/api: somebody else has acted on it; left alone (found: Paused, step 1 of 4")
    assert world.status["currentPodHash"] == "hotfix"
    assert not world.status.get("abort")


def test_a_promotion_that_met_another_writer_is_made_anew_from_what_is_there(world: World) -> None:
    world.write(stable="new", current="new", conflicts=1)
    done = world.run("--yes")
    assert done.returncode == 0, done.stderr
    assert "after the promotion: put the template of version old back" in done.stdout
    assert done.stdout.count("going on without a hold") == 2
    assert (world.status["stableRS"], world.status["phase"]) == ("old", "Healthy")


def test_what_pods_carry_for_a_role_alone_is_not_put_back(world: World) -> None:
    """In the template it would make another version of it."""
    found = world.now
    given = '{"labels":{"role":"canary","a.example/b~c":"d"},"annotations":{"since":""}}'
    found["replicasets"]["old"]["metadata"]["annotations"]["rollout.argoproj.io/ephemeral-metadata"] = given
    (world.home / "world.json").write_text(json.dumps(found))

    done = world.run("--yes")

    assert done.returncode == 0, done.stderr
    [body] = [json.loads(line) for line in (world.home / "bodies").read_text().splitlines() if "/spec/template" in line]
    assert [item["path"].removeprefix("/spec/template/metadata/") for item in body if item["op"] == "remove"] == [
        "labels/rollouts-pod-template-hash", "labels/role", "labels/a.example~1b~0c", "annotations/since",
    ]  # fmt: skip


def test_a_way_back_is_never_aborted_without_a_word(world: World) -> None:
    world.write(stable="new", current="old", step=1)
    done = world.run("--yes")
    assert done.returncode == 5
    assert "version old is older than the stable one new, so this may be a way back" in done.stderr
    assert world.patches == []
    assert world.run("--yes", "--to", "old").returncode == 0
    assert world.status["stableRS"] == "old"


def test_a_canary_is_never_walked_forward(world: World) -> None:
    done = world.run("--yes", "--to", "new")
    assert done.returncode == 5
    assert "before the promotion it goes back to the stable version old only" in done.stderr
    assert world.patches == []


def test_after_a_way_back_there_is_nothing_to_do_but_what_is_asked_for(world: World) -> None:
    world.write(stable="old", current="old")
    done = world.run("--yes")
    assert done.returncode == 0
    assert "nothing to do: the last change was the way back from version new to version old" in done.stdout
    assert world.patches == []


def test_a_dry_run_lets_the_api_server_check_each_patch_and_changes_nothing(world: World) -> None:
    before = world.now
    done = world.run("--dry-run")
    assert done.returncode == 0, done.stderr
    assert "the API server would take it; nothing was changed" in done.stdout
    assert len(world.patches) == 2
    assert all("--dry-run=server" in call for call in world.patches)
    assert world.now == before


def test_a_controller_that_does_nothing_ends_it_with_what_was_found(world: World) -> None:
    world.write(stable="old", current="new", step=3, lost=1000)
    done = world.run("--yes", "--timeout", "3")
    assert done.returncode == 1
    assert done.stderr.startswith("shop/api: the template of version old is not back (found: Paused, step 3 of 4")
    assert "argo-rollouts" in done.stderr
