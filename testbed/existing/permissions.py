"""What the user of a context may do, asked of the cluster itself."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from testbed.existing.row import Row, missing, ok, warning

if TYPE_CHECKING:
    from testbed.existing.kubectl import Kubectl


@dataclass(frozen=True)
class Right:
    """Verbs on one resource, and what slipway does with them."""

    purpose: str
    resource: str
    verbs: tuple[str, ...]
    group: str = ""
    subresource: str = ""

    @property
    def name(self) -> str:
        """The resource as kubectl names it: ``rollouts.argoproj.io/status``."""
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{name}/{self.subresource}" if self.subresource else name

    @property
    def role(self) -> str:
        """A name for a role that gives it."""
        return "-".join(filter(None, ("slipway", self.resource, self.subresource)))


RIGHTS = (
    Right("follow and pause a rollout", "rollouts", ("get", "list", "watch", "patch"), "argoproj.io"),
    Right("promote and abort", "rollouts", ("patch",), "argoproj.io", "status"),
    Right("see whose abort it was", "analysisruns", ("get", "list"), "argoproj.io"),
    Right("find the stable template", "replicasets", ("get", "list"), "apps"),
    Right("judge pods", "pods", ("get", "list", "watch")),
    Right("show the log of a failed job", "pods", ("get",), subresource="log"),
    Right("read the weights", "traefikservices", ("get", "list"), "traefik.io"),
    Right("keep Helm's releases", "secrets", ("get", "list", "create", "update", "delete")),
    Right("run migrations and checks", "jobs", ("get", "list", "watch", "create", "delete"), "batch"),
    Right("tell that it watches", "leases", ("get", "create", "patch"), "coordination.k8s.io"),
)


def check(kubectl: Kubectl, namespace: str) -> list[Row]:
    """Ask about every right, in one namespace.

    :param namespace: the context's own: there the application is meant to run.
    """
    questions: list[dict[str, Any]] = [
        {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        *(_question(right, verb, namespace) for right in RIGHTS for verb in right.verbs),
    ]
    answers = kubectl.review(questions)
    user = next((_user(item) for item in answers if item["kind"] == "SelfSubjectReview"), "YOU")
    allowed = {_key(item): item["status"]["allowed"] for item in answers if item["kind"] != "SelfSubjectReview"}
    return [_row(kubectl, right, namespace, user, allowed) for right in RIGHTS]


def _row(kubectl: Kubectl, right: Right, namespace: str, user: str, allowed: dict[tuple[str, ...], bool]) -> Row:
    need = f"permission to {right.purpose}: {', '.join(right.verbs)} {right.name}"
    verdicts = {verb: allowed.get((right.group, right.resource, right.subresource, verb)) for verb in right.verbs}
    denied = [verb for verb, verdict in verdicts.items() if verdict is False]
    command = (
        f"create role {right.role} --verb={','.join(right.verbs)} --resource={right.name}",
        f"create rolebinding {right.role} --role={right.role} --user={shlex.quote(user)}",
    )
    do = "\n".join(kubectl.command("--namespace", namespace, part) for part in command)
    if denied:
        return missing(need, f"{user} may not {', '.join(denied)} in the namespace {namespace}", do)
    if None in verdicts.values():
        return warning(need, "the cluster gave no answer", "ask an administrator")
    return ok(need, f"{user} may, in the namespace {namespace}")


def _question(right: Right, verb: str, namespace: str) -> dict[str, Any]:
    attributes = {"namespace": namespace, "verb": verb, "group": right.group, "resource": right.resource}
    if right.subresource:
        attributes["subresource"] = right.subresource
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }


def _key(item: dict[str, Any]) -> tuple[str, ...]:
    attributes = item["spec"]["resourceAttributes"]
    return tuple(attributes.get(name, "") for name in ("group", "resource", "subresource", "verb"))


def _user(item: dict[str, Any]) -> str:
    return str(item["status"]["userInfo"]["username"])
