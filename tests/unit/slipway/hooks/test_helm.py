"""Helm's hook against a program that stands in for Helm; the real one is in tests/e2e."""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from slipway.errors import HelmError
from slipway.hooks.helm import Helm, Revision

if TYPE_CHECKING:
    from collections.abc import Iterator

CHART, OVERLAY = Path("/charts/shop"), Path("/charts/values-local.yaml")
HIDDEN = "s3cret-value"
PROGRAM = """#!{python} -IS
import json, pathlib, sys

home = pathlib.Path({home!r})
stdin = sys.stdin.read()
with (home / "calls").open("a") as calls:
    calls.write(json.dumps({{"argv": sys.argv[1:], "stdin": stdin}}) + "\\n")
answers = json.loads((home / "answers").read_text())
words = " ".join(argument for argument in sys.argv[1:] if not argument.startswith("-"))
for begin, answer in answers.items():
    if words.startswith(begin):
        print(answer.get("err", ""), file=sys.stderr)
        print(answer.get("out", ""), end="")
        if "then" in answer:
            answers.update(answer["then"])
            (home / "answers").write_text(json.dumps(answers))
        sys.exit(answer.get("code", 0))
sys.exit("not expected: " + words)
"""


@dataclass
class Fake:
    """A program named helm, what it answers, and what it was asked."""

    home: Path

    def answer(self, **answers: dict[str, Any]) -> None:
        """Set what the program says, by the first words of its arguments; _ stands for a space."""
        named = {name.replace("_", " "): answer for name, answer in answers.items()}
        (self.home / "answers").write_text(json.dumps({"version": {"out": "v3.19.0+g1234567"}} | named))

    @property
    def calls(self) -> list[dict[str, Any]]:
        path = self.home / "calls"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def call(self, word: str) -> dict[str, Any]:
        (found,) = [call for call in self.calls if call["argv"][0] == word]
        return found


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    program = tmp_path / "bin/helm"
    program.parent.mkdir()
    program.write_text(PROGRAM.format(python=sys.executable, home=str(tmp_path)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    made = Fake(tmp_path)
    made.answer()
    return made


def helm(**more: Any) -> Helm:
    return Helm("shop", "shop-local", "/kube/config", **more)


def history(*revisions: tuple[int, str, str]) -> dict[str, Any]:
    rows = [
        {"revision": number, "status": status, "chart": "shop-1", "description": text}
        for number, status, text in revisions
    ]
    return {"out": json.dumps(rows)}


def test_an_upgrade_is_a_three_way_merge_with_the_values_on_stdin_alone(fake: Fake) -> None:
    after = history((1, "superseded", "Install complete"), (2, "deployed", "slipway shop-1"))
    fake.answer(history=history((1, "deployed", "Install complete")), upgrade={"then": {"history": after}})

    made = helm().upgrade(CHART, [OVERLAY], {"key": HIDDEN}, "slipway shop-1")

    assert made == Revision(2, "deployed", "shop-1", "slipway shop-1")
    call = fake.call("upgrade")
    assert call["argv"] == [
        "upgrade", "shop", "/charts/shop", "--install", "--create-namespace", "--history-max=20",
        "--values=/charts/values-local.yaml", "--values=-", "--description=slipway shop-1", "--namespace=shop-local",
        "--kubeconfig=/kube/config",
    ]  # fmt: skip
    assert yaml.safe_load(call["stdin"]) == {"key": HIDDEN}
    assert not any(HIDDEN in argument for one in fake.calls for argument in one["argv"])


def test_the_context_is_named_in_every_call(fake: Fake) -> None:
    fake.answer(history=history())

    helm(context="other").revisions()

    assert all(call["argv"][-1] == "--kube-context=other" for call in fake.calls)


@pytest.mark.parametrize("word", ["upgrade", "rollback"])
@pytest.mark.parametrize(("version", "told"), [("v3.19.0+g1", False), ("v4.3.0", True)])
def test_helm_4_is_told_to_merge_on_this_side(fake: Fake, word: str, version: str, told: bool) -> None:
    """Its own default would lose every upgrade to the selectors and weights that Argo Rollouts owns."""
    fake.answer(
        version={"out": version}, history=history((2, "deployed", "mine")), upgrade={}, rollback={},
        get_manifest_shop={"out": "a", "then": {"get manifest shop": {"out": "b"}}},
    )  # fmt: skip

    if word == "upgrade":
        helm().upgrade(CHART, [], {}, "mine")
    else:
        helm().roll_back(1)

    assert ("--server-side=false" in fake.call(word)["argv"]) is told


FORBIDDEN = ("--wait", "--atomic", "--rollback-on-failure", "--force", "--reuse-values")


def test_helm_never_waits_and_never_acts_by_itself(fake: Fake) -> None:
    fake.answer(
        history=history((2, "deployed", "mine")), upgrade={"out": '{"manifest": ""}'}, rollback={},
        get_manifest_shop={"out": "a", "then": {"get manifest shop": {"out": "b"}}},
    )  # fmt: skip

    helm().upgrade(CHART, [], {}, "mine")
    helm().rehearse(CHART, [], {})
    helm().roll_back(1)

    assert {call["argv"][0] for call in fake.calls} >= {"upgrade", "rollback"}
    assert not [call for call in fake.calls if any(word.startswith(FORBIDDEN) for word in call["argv"])]


def test_a_rehearsal_asks_the_api_server_and_returns_the_manifest(fake: Fake) -> None:
    fake.answer(upgrade={"out": json.dumps({"manifest": "kind: Service\n"})})

    assert helm().rehearse(CHART, [OVERLAY], {"a": 1}) == "kind: Service\n"
    assert "--dry-run=server" in fake.call("upgrade")["argv"]


def test_a_chart_that_does_not_render_says_why(fake: Fake) -> None:
    fake.answer(template={"code": 1, "err": "Error: values don't meet the specifications of the schema"})

    with pytest.raises(HelmError, match="does not render") as caught:
        helm().render(CHART, [], {"a": 1})

    assert "values don't meet the specifications" in str(caught.value.found)


def test_lint_is_strict_and_its_findings_are_shown(fake: Fake) -> None:
    fake.answer(lint={"code": 1, "out": "[WARNING] templates/: object name is wrong\n"})

    with pytest.raises(HelmError) as caught:
        helm().lint(CHART, [], {})

    assert "object name is wrong" in str(caught.value.found)
    assert "--strict" in fake.call("lint")["argv"]


def test_an_upgrade_that_somebody_overtook_is_no_success(fake: Fake) -> None:
    fake.answer(history=history((3, "deployed", "somebody else")), upgrade={})

    with pytest.raises(HelmError, match="not the current one"):
        helm().upgrade(CHART, [], {}, "mine")


# --- history


@pytest.mark.parametrize("words", ["Error: release: not found", "Error: release: Not Found"])
def test_a_release_that_is_not_there_has_no_history(fake: Fake, words: str) -> None:
    fake.answer(history={"code": 1, "err": words})

    assert helm().revisions() == []
    assert helm().current() is None
    assert helm().deployed() is None


def test_a_cluster_that_is_away_is_not_a_release_that_is_not_there(fake: Fake) -> None:
    """Taken for a first install, a release would go on with nothing to go back to."""
    fake.answer(history={"code": 1, "err": "Error: Kubernetes cluster unreachable: connection refused"})

    with pytest.raises(HelmError, match="history"):
        helm().deployed()


def test_the_current_revision_may_have_failed_and_the_deployed_one_is_older(fake: Fake) -> None:
    fake.answer(history=history((9, "deployed", "a"), (10, "failed", "b")))

    found = helm()

    assert [one.number for one in (found.current(), found.deployed()) if one] == [10, 9]


# --- the way back


def test_a_rollback_names_the_revision(fake: Fake) -> None:
    fake.answer(
        history=history((7, "deployed", "bad")), rollback={},
        get_manifest_shop={"out": "new", "then": {"get manifest shop": {"out": "old"}}},
    )  # fmt: skip

    helm().roll_back(5, description="slipway")

    assert fake.call("rollback")["argv"][:3] == ["rollback", "shop", "5"]
    manifests = [call["argv"] for call in fake.calls if call["argv"][0] == "get"]
    assert [("--revision=5" in argv) for argv in manifests] == [False, True]


def test_a_rollback_to_what_is_there_does_nothing(fake: Fake) -> None:
    lines: list[str] = []
    fake.answer(history=history((7, "deployed", "good")), get_manifest_shop={"out": "same"})

    helm(log=lines.append).roll_back(5)

    assert "rollback" not in {call["argv"][0] for call in fake.calls}
    assert lines == ["release shop-local/shop is at the manifest of revision 5 already"]


def test_a_failed_revision_with_the_same_manifest_is_still_rolled_back(fake: Fake) -> None:
    """Helm compares with what it recorded; what a failed upgrade has really applied nobody knows."""
    fake.answer(history=history((7, "failed", "half")), get_manifest_shop={"out": "same"}, rollback={})

    helm().roll_back(5)

    assert fake.call("rollback")


# --- what a killed Helm leaves behind


class _Api(BaseHTTPRequestHandler):
    deleted: list[str]

    def do_DELETE(self) -> None:
        self.deleted.append(self.path)
        body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Success"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[tuple[Path, list[str]]]:
    """Run as much of an API server as takes a deletion, and return its kubeconfig and what was deleted."""
    deleted: list[str] = []
    handler = type("Api", (_Api,), {"deleted": deleted})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(
            yaml.safe_dump({
                "apiVersion": "v1", "kind": "Config", "current-context": "it",
                "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me"}}],
                "users": [{"name": "me", "user": {}}],
            })
        )  # fmt: skip
        yield kubeconfig, deleted
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", ["pending-upgrade", "pending-install", "pending-rollback"])
def test_a_pending_revision_is_removed_before_the_next_step(
    fake: Fake, api: tuple[Path, list[str]], status: str
) -> None:
    kubeconfig, deleted = api
    after = history((1, "deployed", ""), (2, "deployed", "mine"))
    fake.answer(history=history((1, "deployed", ""), (2, status, "mine")), upgrade={"then": {"history": after}})
    lines: list[str] = []

    Helm("shop", "shop-local", str(kubeconfig), log=lines.append).upgrade(CHART, [], {}, "mine")

    assert [path.partition("?")[0] for path in deleted] == [
        "/api/v1/namespaces/shop-local/secrets/sh.helm.release.v1.shop.v2"
    ]
    assert f"revision 2 was left {status} by a killed Helm" in lines[0]


@pytest.mark.parametrize("status", ["deployed", "failed", "superseded"])
def test_another_revision_is_never_removed(fake: Fake, api: tuple[Path, list[str]], status: str) -> None:
    kubeconfig, deleted = api
    fake.answer(history=history((2, status, "mine")), upgrade={})

    Helm("shop", "shop-local", str(kubeconfig)).upgrade(CHART, [], {}, "mine")

    assert deleted == []
