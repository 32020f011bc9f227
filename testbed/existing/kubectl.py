"""kubectl as the way into a cluster: its own kubeconfig, plugins and logins work as the user has them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.errors import TestbedError, UsageError
from testbed.home import Home

REQUEST_TIMEOUT = "10s"
COMMAND_TIMEOUT_S = 60.0
"""Longer than a request: a login plugin may have to ask its own server first."""


@dataclass(frozen=True)
class Answer:
    """How kubectl ended."""

    code: int
    out: str
    err: str


Run = Callable[[Sequence[str], str], Answer]
"""Runs kubectl with arguments and an input."""


def run_kubectl(arguments: Sequence[str], text: str) -> Answer:
    """Run the testbed's own kubectl, or the one on PATH.

    :param arguments: what follows the program's name.
    :param text: its input.
    :raises UsageError: there is none.
    :raises TestbedError: it does not end.
    """
    path = f"{Home.default().path()}:{os.environ.get('PATH', '')}"
    program = shutil.which("kubectl", path=path)
    if program is None:
        raise UsageError(
            "kubectl is not installed: an existing cluster is reached through it",
            found="no kubectl on PATH",
            do="install it: https://kubernetes.io/docs/tasks/tools/#kubectl",
        )
    try:
        done = subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
            env={**os.environ, "PATH": path},
        )
    except subprocess.TimeoutExpired as error:
        raise TestbedError(
            f"kubectl did not end within {COMMAND_TIMEOUT_S:g} s",
            found=f"kubectl {' '.join(arguments)}",
            do="run it by hand: a login may wait for you",
        ) from error
    return Answer(done.returncode, done.stdout, done.stderr)


class RefusedError(Exception):
    """This user may not read that. Never leaves this package."""


@dataclass(frozen=True)
class Kubectl:
    """One context of the kubeconfig."""

    context: str
    run: Run

    def command(self, *arguments: str) -> str:
        """Return a command line for people, bound to this context."""
        return " ".join(("kubectl", "--context", shlex.quote(self.context), *arguments))

    def namespace(self) -> str:
        """Return the context's own namespace. Asks the kubeconfig only.

        :raises UsageError: there is no such context.
        """
        answer = self._call("config", "view", "--minify", "--output=json")
        if answer.code:
            known = self.run(["config", "get-contexts", "--output=name"], "").out.split()
            raise UsageError(
                f"the kubeconfig has no context {self.context!r}",
                found=f"it has: {', '.join(known) or 'none'}",
                do="SLIPWAY_KUBECONTEXT=NAME with one of these, or KUBECONFIG=FILE with the file that has it",
            )
        contexts = json.loads(answer.out)["contexts"]
        return str(contexts[0]["context"].get("namespace") or "default")

    def version(self) -> str:
        """Return the server's version.

        :raises TestbedError: it does not answer, or refuses who asks.
        """
        answer = self._call("get", "--raw", "/version")
        if answer.code == 0:
            return str(json.loads(answer.out)["gitVersion"])
        login = any(word in answer.err for word in ("Unauthorized", "must be logged in", "credentials"))
        what = "does not know who asks" if login else "does not answer"
        raise TestbedError(
            f"the cluster of the context {self.context!r} {what}",
            found=answer.err.strip(),
            do="log in again, as for this cluster's kubectl"
            if login
            else f"start it, or connect to its network; then: {self.command('version')}",
        )

    def items(self, kinds: str, *arguments: str) -> list[dict[str, Any]] | None:
        """List objects.

        :param kinds: one kind or several with commas.
        :return: None where reading them is refused; nothing where the kind is unknown.
        """
        try:
            found = self.document("get", kinds, *arguments, "--output=json")
        except RefusedError:
            return None
        return list(found["items"]) if found else []

    def resources(self, group_version: str) -> frozenset[str]:
        """Return the resources of an API group, like ``argoproj.io/v1alpha1``; empty where it is not there.

        The list of names and not the definitions: those are megabytes, and not everybody may read them.
        """
        found = self.document("get", "--raw", f"/apis/{group_version}")
        return frozenset(item["name"] for item in found["resources"]) if found else frozenset()

    def document(self, *arguments: str) -> dict[str, Any] | None:
        """Return what kubectl prints as JSON, None where there is no such thing.

        :raises RefusedError: this user may not read it.
        :raises TestbedError: the cluster went away meanwhile.
        """
        answer = self._call(*arguments)
        if answer.code == 0:
            return dict(json.loads(answer.out))
        if "(Forbidden)" in answer.err:
            raise RefusedError(answer.err.strip())
        if "(NotFound)" in answer.err or "doesn't have a resource type" in answer.err:
            return None
        raise TestbedError(
            f"the cluster of the context {self.context!r} stopped answering",
            found=answer.err.strip(),
            do="call status again",
        )

    def review(self, documents: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Put questions about one's own rights: they are answered and not stored.

        :param documents: SelfSubjectReview and SelfSubjectAccessReview.
        :return: the answered documents that came back.
        """
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(documents)})
        answer = self._call("create", "--validate=false", "--filename=-", "--output=json", text=text)
        decoder, rest, found = json.JSONDecoder(), answer.out.lstrip(), []
        while rest:
            document, end = decoder.raw_decode(rest)
            found.append(document)
            rest = rest[end:].lstrip()
        return found

    def _call(self, *arguments: str, text: str = "") -> Answer:
        return self.run(["--context", self.context, f"--request-timeout={REQUEST_TIMEOUT}", *arguments], text)
