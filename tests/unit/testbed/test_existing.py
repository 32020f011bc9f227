from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from testbed import catalog
from testbed.errors import TestbedError, UsageError
from testbed.existing import Row, State, check
from testbed.existing.kubectl import Answer, run_kubectl
from testbed.existing.permissions import RIGHTS
from testbed.existing.router import seconds
from testbed.existing.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

K = "kubectl --context shop"
VERSION = next(item.version for item in catalog.load().components if item.name == "argo-rollouts")
NOT_FOUND = Answer(1, "", "Error from server (NotFound): the server could not find the requested resource\n")
FORBIDDEN = Answer(1, "", 'Error from server (Forbidden): nodes is forbidden: User "ann" cannot list\n')
ARGO = ("--traefik-api-group=traefik.io", "--traefik-api-version=traefik.io/v1alpha1")
TRAEFIK = (
    "--providers.kubernetescrd",
    "--providers.kubernetescrd.allowEmptyServices=true",
    "--providers.providersThrottleDuration=100ms",
)
APIS = {
    "argoproj.io/v1alpha1": ["rollouts", "rollouts/status", "analysisruns", "analysistemplates"],
    "traefik.io/v1alpha1": ["ingressroutes", "traefikservices", "middlewares"],
    "monitoring.coreos.com/v1": ["prometheuses", "podmonitors", "prometheusrules", "alertmanagers"],
}
INSTALL_ARGO = "\n".join(
    (
        f"{K} create namespace argo-rollouts",
        f"{K} apply --server-side --namespace argo-rollouts --filename"
        f" https://github.com/argoproj/argo-rollouts/releases/download/{VERSION}/install.yaml",
        f"{K} --namespace argo-rollouts patch deployment argo-rollouts --type=json"
        ' --patch=\'[{"op":"add","path":"/spec/template/spec/containers/0/args",'
        '"value":["--traefik-api-group=traefik.io","--traefik-api-version=traefik.io/v1alpha1"]}]\'',
    )
)
INSTALL_TRAEFIK = (
    "helm repo add traefik https://traefik.github.io/charts\n"
    "helm --kube-context shop upgrade --install traefik traefik/traefik"
    " --namespace traefik --create-namespace"
    " --set providers.kubernetesCRD.allowEmptyServices=true"
    " --set 'additionalArguments={--providers.providersThrottleDuration=100ms}'"
)
INSTALL_PROMETHEUS = (
    "helm repo add prometheus-community https://prometheus-community.github.io/helm-charts\n"
    "helm --kube-context shop upgrade --install kube-prometheus-stack"
    " prometheus-community/kube-prometheus-stack --namespace monitoring --create-namespace"
    " --set prometheus.prometheusSpec.podMonitorSelectorNilUsesHelmValues=false"
    " --set prometheus.prometheusSpec.ruleSelectorNilUsesHelmValues=false"
)
INSTALL_METRICS = (
    f"{K} apply --filename https://github.com/kubernetes-sigs/metrics-server/releases/latest/download/components.yaml"
)


def node(name: str, *, ready: bool = True, **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


def workload(
    where: str, image: str, *args: str, kind: str = "Deployment", available: int = 1, **more: Any
) -> dict[str, Any]:
    namespace, _, name = where.partition("/")
    container: dict[str, Any] = {"name": name, "image": image, "env": more.get("env", [])}
    if args:
        container["args"] = list(args)
    counted = "numberAvailable" if kind == "DaemonSet" else "availableReplicas"
    return {
        "kind": kind,
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": more.get("labels", {}),
            "annotations": more.get("annotations", {}),
        },
        "spec": {"template": {"metadata": {}, "spec": {"containers": [container]}}},
        "status": {counted: available} if available else {},
    }


COREDNS = workload("kube-system/coredns", "registry.k8s.io/coredns/coredns:v1.12.1")
ROLLOUTS = workload("argo-rollouts/argo-rollouts", "quay.io/argoproj/argo-rollouts:v1.9.1", *ARGO)
ROUTER = workload("traefik/traefik", "docker.io/library/traefik:v3.6.0", *TRAEFIK, kind="DaemonSet")
OPERATOR = workload("monitoring/operator", "quay.io/prometheus-operator/prometheus-operator:v0.88.0")
STATE_METRICS = workload("monitoring/ksm", "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0")
PROMETHEUS = {
    "metadata": {"namespace": "monitoring", "name": "main"},
    "spec": {"podMonitorSelector": {}, "podMonitorNamespaceSelector": {}},
}


class FakeCluster:
    """Answers kubectl's calls as a cluster did, and keeps what was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.config: Answer = self._json({"contexts": [{"context": {"namespace": "shop"}}]})
        self.version: Answer = self._json({"gitVersion": "v1.34.0"})
        self.nodes: list[dict[str, Any]] | Answer = [node("a"), node("b"), node("c")]
        self.workloads: list[dict[str, Any]] | Answer = [*(COREDNS, ROLLOUTS, ROUTER, OPERATOR, STATE_METRICS)]
        self.apis = dict(APIS)
        self.prometheuses: list[dict[str, Any]] | Answer = [PROMETHEUS]
        self.metrics: Answer = self._json({"status": {"conditions": [{"type": "Available", "status": "True"}]}})
        self.denied: set[str] = set()
        self.review = True

    def __call__(self, arguments: Sequence[str], text: str) -> Answer:
        self.calls.append(list(arguments))
        if list(arguments) == ["config", "get-contexts", "--output=name"]:
            return Answer(0, "kind-kind\nprod\n", "")
        assert arguments[:3] == ["--context", "shop", "--request-timeout=10s"]
        match arguments[3:]:
            case ["config", "view", *_]:
                return self.config
            case ["get", "--raw", "/version"]:
                return self.version
            case ["get", "--raw", path]:
                names = self.apis.get(path.removeprefix("/apis/"))
                return self._json({"resources": [{"name": name} for name in names]}) if names else NOT_FOUND
            case ["get", "nodes", "--output=json"]:
                return self._items(self.nodes)
            case ["get", "deployments,daemonsets,statefulsets", "--all-namespaces", "--output=json"]:
                return self._items(self.workloads)
            case ["get", "prometheuses.monitoring.coreos.com", "--all-namespaces", "--output=json"]:
                return self._items(self.prometheuses)
            case ["get", "apiservices", "v1beta1.metrics.k8s.io", "--output=json"]:
                return self.metrics
            case ["create", "--validate=false", "--filename=-", "--output=json"]:
                return self._review(json.loads(text)["items"])
        raise AssertionError(f"not expected: {arguments}")

    def _review(self, documents: list[dict[str, Any]]) -> Answer:
        if not self.review:
            return Answer(1, "", "error: the server doesn't have a resource type")
        answers = []
        for document in documents:
            if document["kind"] == "SelfSubjectReview":
                document["status"] = {"userInfo": {"username": "ann"}}
            else:
                asked = document["spec"]["resourceAttributes"]
                assert asked["namespace"] == "shop"
                document["status"] = {"allowed": f"{asked['verb']} {asked['resource']}" not in self.denied}
            answers.append(json.dumps(document, indent=4))
        return Answer(0, "\n".join(answers) + "\n", "")

    def _items(self, items: list[dict[str, Any]] | Answer) -> Answer:
        return items if isinstance(items, Answer) else self._json({"items": items})

    @staticmethod
    def _json(document: dict[str, Any]) -> Answer:
        return Answer(0, json.dumps(document), "")


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


def judged(cluster: FakeCluster, need: str) -> Row:
    rows = [row for row in check("shop", cluster) if row.need.startswith(need)]
    assert len(rows) == 1, [row.need for row in rows]
    return rows[0]


def test_a_complete_cluster_is_all_well(cluster: FakeCluster) -> None:
    rows = check("shop", cluster)
    assert [row for row in rows if row.state is not State.OK or row.do] == []
    assert [(row.need, row.found) for row in rows[:16]] == [
        ("Kubernetes 1.30 or newer", "v1.34.0"),
        ("3 nodes that take pods", "3 of 3"),
        ("DNS of the cluster", "deployment kube-system/coredns"),
        ("Argo Rollouts' definitions (argoproj.io/v1alpha1)", "all"),
        (
            "Argo Rollouts' controller 1.9 or newer",
            "deployment argo-rollouts/argo-rollouts, quay.io/argoproj/argo-rollouts:v1.9.1",
        ),
        (
            "Argo Rollouts started with --traefik-api-group=traefik.io",
            "deployment argo-rollouts/argo-rollouts",
        ),
        ("Traefik's definitions (traefik.io/v1alpha1)", "all"),
        ("Traefik", "daemonset traefik/traefik, docker.io/library/traefik:v3.6.0"),
        ("Traefik with providers.kubernetescrd.allowEmptyServices=true", "daemonset traefik/traefik"),
        ("Traefik with providers.providersThrottleDuration=100ms", "daemonset traefik/traefik: 100ms"),
        ("the Prometheus Operator's definitions (monitoring.coreos.com/v1)", "all"),
        (
            "the Prometheus Operator",
            "deployment monitoring/operator, quay.io/prometheus-operator/prometheus-operator:v0.88.0",
        ),
        ("a Prometheus", "monitoring/main"),
        ("a Prometheus that reads every namespace's PodMonitors", "monitoring/main"),
        ("kube-state-metrics with leases, for the dead-man's switch", "deployment monitoring/ksm"),
        ("the metrics API (v1beta1.metrics.k8s.io), for HorizontalPodAutoscalers", "available"),
    ]
    assert len(rows) == 16 + len(RIGHTS)
    assert rows[16].need == ("permission to follow and pause a rollout: get, list, watch, patch rollouts.argoproj.io")
    assert rows[16].found == "ann may, in the namespace shop"


def test_nothing_is_changed(cluster: FakeCluster) -> None:
    check("shop", cluster)
    assert {call[3] for call in cluster.calls} == {"config", "get", "create"}
    assert [call[3:] for call in cluster.calls if call[3] == "create"] == [
        ["create", "--validate=false", "--filename=-", "--output=json"]  # reviews, which are not stored
    ]


def test_an_empty_kind_cluster_is_told_every_command(cluster: FakeCluster) -> None:
    cluster.nodes = [node("kind-control-plane", providerID="kind://docker/kind/kind-control-plane")]
    cluster.workloads, cluster.apis, cluster.prometheuses, cluster.metrics = (
        [COREDNS],
        {},
        NOT_FOUND,
        NOT_FOUND,
    )
    rows = {row.need: row for row in check("shop", cluster) if row.state is not State.OK}
    assert {need: row.state.value for need, row in rows.items()} == {
        "3 nodes that take pods": "warning",
        "Argo Rollouts' definitions (argoproj.io/v1alpha1)": "missing",
        "Argo Rollouts' controller 1.9 or newer": "missing",
        "Traefik's definitions (traefik.io/v1alpha1)": "missing",
        "Traefik": "missing",
        "the Prometheus Operator's definitions (monitoring.coreos.com/v1)": "missing",
        "the Prometheus Operator": "missing",
        "a Prometheus": "missing",
        "kube-state-metrics with leases, for the dead-man's switch": "warning",
        "the metrics API (v1beta1.metrics.k8s.io), for HorizontalPodAutoscalers": "missing",
    }
    assert rows["3 nodes that take pods"].found == "1 of 1: kind-control-plane"
    assert rows["Argo Rollouts' controller 1.9 or newer"].do == INSTALL_ARGO
    assert rows["Traefik"].do == INSTALL_TRAEFIK
    assert rows["a Prometheus"].do == INSTALL_PROMETHEUS
    assert rows["the metrics API (v1beta1.metrics.k8s.io), for HorizontalPodAutoscalers"].do == (
        f"{INSTALL_METRICS}\n{K} --namespace kube-system patch deployment metrics-server --type=json --patch="
        '\'[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--kubelet-insecure-tls"}]\''
    )


def test_a_cluster_elsewhere_needs_no_exception_for_its_kubelets(cluster: FakeCluster) -> None:
    cluster.metrics = NOT_FOUND
    assert judged(cluster, "the metrics API").do == INSTALL_METRICS


def test_traefik_without_its_two_settings(cluster: FakeCluster) -> None:
    args = ("--providers.kubernetescrd", "--providers.kubernetescrd.allowemptyservices=false")
    made = {"meta.helm.sh/release-name": "edge"}
    router = workload("kube-system/traefik", "rancher/mirrored-library-traefik:3.3.6", *args, annotations=made)
    cluster.workloads = [COREDNS, ROLLOUTS, router, OPERATOR]
    empty = judged(cluster, "Traefik with providers.kubernetescrd.allowEmptyServices=true")
    assert empty == Row(
        "Traefik with providers.kubernetescrd.allowEmptyServices=true",
        "deployment kube-system/traefik: false;"
        " one canary without ready pods takes its whole route down, 404 for everybody",
        State.MISSING,
        f"{K} --namespace kube-system patch deployment traefik --type=json --patch="
        '\'[{"op":"add","path":"/spec/template/spec/containers/0/args","value":["--providers.kubernetescrd",'
        '"--providers.kubernetescrd.allowEmptyServices=true"]}]\'\n'
        "and the same in the values of the Helm release edge",
    )
    throttle = judged(cluster, "Traefik with providers.providersThrottleDuration")
    assert throttle.state is State.WARNING
    assert throttle.found == (
        "deployment kube-system/traefik: not set, so 2s;"
        " a change of weight, an abort too, waits up to this long after the one before"
    )
    assert '"--providers.providersThrottleDuration=100ms"]}]' in throttle.do


def test_traefik_takes_its_settings_from_the_environment_when_it_has_no_arguments(
    cluster: FakeCluster,
) -> None:
    env = [
        {"name": "TRAEFIK_PROVIDERS_KUBERNETESCRD_ALLOWEMPTYSERVICES", "value": "true"},
        {"name": "TRAEFIK_PROVIDERS_PROVIDERSTHROTTLEDURATION", "value": "0.05s"},
    ]
    cluster.workloads = [
        COREDNS,
        ROLLOUTS,
        workload("traefik/traefik", "traefik:v3.6.0", env=env),
        OPERATOR,
        STATE_METRICS,
    ]
    assert {row.state for row in check("shop", cluster)} == {State.OK}
    ignored = workload("traefik/traefik", "traefik:v3.6.0", "--providers.kubernetescrd", env=env)
    cluster.workloads = [COREDNS, ROLLOUTS, ignored, OPERATOR]
    assert judged(cluster, "Traefik with providers.kubernetescrd").state is State.MISSING


@pytest.mark.parametrize("args", [(), ("--configFile=/config/t.yml", "--log.level=INFO")])
def test_settings_in_a_file_cannot_be_seen(cluster: FakeCluster, args: tuple[str, ...]) -> None:
    cluster.workloads = [COREDNS, ROLLOUTS, workload("traefik/traefik", "traefik:v3.6.0", *args), OPERATOR]
    row = judged(cluster, "Traefik with providers.kubernetescrd")
    assert row.state is State.WARNING
    assert row.found == "deployment traefik/traefik has its settings in a file, which cannot be seen from here"
    file = "/config/t.yml" if args else "/etc/traefik/traefik.yml"
    assert row.do.startswith(f"look into {file} of its pod: without it, one canary without ready pods")


@pytest.mark.parametrize(
    ("text", "value"),
    [("100ms", 0.1), ("2s", 2.0), ("1m30s", 90.0), ("1.5s", 1.5), ("3", 3.0), ("soon", None), ("", None)],
)
def test_durations(text: str, value: float | None) -> None:
    assert seconds(text) == value


def test_argo_rollouts_that_looks_for_another_traefik(cluster: FakeCluster) -> None:
    cluster.workloads = [COREDNS, workload("argo/ro", "argoproj/argo-rollouts:v1.9.1", "--loglevel", "debug")]
    row = judged(cluster, "Argo Rollouts started with")
    assert row.state is State.MISSING
    assert row.found.startswith("not set: no weight would reach a Traefik 3")
    assert row.do == (
        f"{K} --namespace argo patch deployment ro --type=json --patch="
        '\'[{"op":"add","path":"/spec/template/spec/containers/0/args","value":["--loglevel","debug",'
        '"--traefik-api-group=traefik.io","--traefik-api-version=traefik.io/v1alpha1"]}]\''
    )


@pytest.mark.parametrize(
    ("tag", "state", "found"),
    [
        (":v1.8.3", State.WARNING, "slipway is not tried with it"),
        (":v1.10.0", State.OK, "argo-rollouts:v1.10.0"),
        (":latest", State.WARNING, "its version cannot be read"),
        ("@sha256:0123", State.WARNING, "its version cannot be read"),
    ],
)
def test_the_version_of_argo_rollouts(cluster: FakeCluster, tag: str, state: State, found: str) -> None:
    image = f"registry.shop.example:5000/argo-rollouts{tag}"
    cluster.workloads = [COREDNS, workload("argo-rollouts/argo-rollouts", image, *ARGO), ROUTER, OPERATOR]
    row = judged(cluster, "Argo Rollouts' controller")
    assert (row.state, found in row.found) == (state, True)


def test_what_is_there_but_does_not_serve(cluster: FakeCluster) -> None:
    down = {
        "Argo Rollouts' controller": workload("a/ro", "argo-rollouts:v1.9.1", *ARGO, available=0),
        "Traefik": workload("b/router", "traefik:v3.6.0", *TRAEFIK, available=0, kind="DaemonSet"),
        "the Prometheus Operator": workload("c/op", "prometheus-operator:v0.88.0", available=0),
        "DNS": workload("d/dns", "coredns:v1.12.1", labels={"k8s-app": "kube-dns"}, available=0),
    }
    cluster.workloads = list(down.values())
    rows = [row for row in check("shop", cluster) if "has no available pod" in row.found]
    assert {row.do for row in rows} == {
        f"{K} --namespace a describe deployment ro",
        f"{K} --namespace b describe daemonset router",
        f"{K} --namespace c describe deployment op",
        f"{K} --namespace d describe deployment dns",
    }
    assert {row.state for row in rows} == {State.MISSING}


def test_a_prometheus_that_reads_only_its_own(cluster: FakeCluster) -> None:
    labels = {"matchLabels": {"release": "stack"}}
    cluster.prometheuses = [{**PROMETHEUS, "spec": {"podMonitorSelector": labels}}]
    row = judged(cluster, "a Prometheus that reads")
    assert row.state is State.WARNING
    assert row.found == "monitoring/main: only those with its labels, or of its own namespace"
    assert row.do == (
        f"{K} --namespace monitoring patch prometheuses.monitoring.coreos.com main --type=merge --patch="
        '\'{"spec":{"podMonitorSelector":{},"podMonitorNamespaceSelector":{}}}\'\n'
        "or give slipway's PodMonitors the labels that it looks for"
    )


def test_nodes_that_take_no_pods_do_not_count(cluster: FakeCluster) -> None:
    taint = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    cluster.nodes = [
        node("a"),
        node("b", unschedulable=True),
        node("c", taints=[taint]),
        node("d", ready=False),
    ]
    assert judged(cluster, "3 nodes").found == "1 of 4: a"
    cluster.nodes = [node("d", ready=False)]
    assert judged(cluster, "3 nodes").state is State.MISSING


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v1.29.9", State.MISSING),
        ("v1.30.0-eks-1", State.OK),
        ("v2.0.0", State.OK),
        ("strange", State.MISSING),
    ],
)
def test_the_version_of_kubernetes(cluster: FakeCluster, version: str, state: State) -> None:
    cluster.version = Answer(0, json.dumps({"gitVersion": version}), "")
    assert judged(cluster, "Kubernetes").state is state


def test_a_metrics_api_that_does_not_serve(cluster: FakeCluster) -> None:
    condition = {"type": "Available", "status": "False", "message": "no endpoints"}
    cluster.metrics = Answer(0, json.dumps({"status": {"conditions": [condition]}}), "")
    row = judged(cluster, "the metrics API")
    assert (row.state, row.found) == (State.MISSING, "not available: no endpoints")
    assert row.do == f"{K} --namespace kube-system logs deployment/metrics-server"


@pytest.mark.parametrize(
    ("arguments", "available", "found"),
    [
        (["--resources=pods,leases"], 1, None),
        (["--resources=pods"], 1, "deployment monitoring/ksm: --resources without leases"),
        ([], 0, "deployment monitoring/ksm has no available pod"),
    ],
)
def test_what_tells_the_age_of_a_lease(
    cluster: FakeCluster, arguments: list[str], available: int, found: str | None
) -> None:
    image = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.18.0"
    exporter = workload("monitoring/ksm", image, *arguments, available=available)
    cluster.workloads = [COREDNS, ROLLOUTS, ROUTER, OPERATOR, exporter]
    row = judged(cluster, "kube-state-metrics")
    assert (row.state, row.found) == ((State.WARNING, found) if found else (State.OK, "deployment monitoring/ksm"))
    assert ('"--resources=pods,leases"' in row.do) == (arguments == ["--resources=pods"])


def test_a_dns_that_nobody_sees_may_be_the_clouds_own(cluster: FakeCluster) -> None:
    cluster.workloads = [ROLLOUTS, ROUTER, OPERATOR]
    assert judged(cluster, "DNS").state is State.WARNING


def test_denied_verbs_are_named_with_the_role_that_grants_them(cluster: FakeCluster) -> None:
    cluster.denied = {"watch rollouts", "patch rollouts"}
    rows = [row for row in check("shop", cluster) if row.state is State.MISSING]
    assert [row.found for row in rows] == [
        "ann may not watch, patch in the namespace shop",
        "ann may not patch in the namespace shop",
    ]
    assert rows[1].do == (
        f"{K} --namespace shop create role slipway-rollouts-status --verb=patch"
        " --resource=rollouts.argoproj.io/status\n"
        f"{K} --namespace shop create rolebinding slipway-rollouts-status --role=slipway-rollouts-status"
        " --user=ann"
    )


def test_who_may_read_nothing_is_told_so_and_not_that_everything_is_missing(cluster: FakeCluster) -> None:
    cluster.nodes = cluster.workloads = FORBIDDEN
    rows = check("shop", cluster)
    assert [row.state for row in rows[:2]] == [State.OK, State.WARNING]
    assert "cannot be seen" in rows[1].found
    assert "create clusterrole slipway-status --verb=get,list --resource=nodes,deployments.apps" in rows[1].do
    assert len(rows) == 2 + len(RIGHTS)


def test_what_alone_is_refused_is_a_warning(cluster: FakeCluster) -> None:
    cluster.prometheuses = cluster.metrics = FORBIDDEN
    assert [row.found for row in check("shop", cluster) if row.state is State.WARNING] == [
        "reading prometheuses is refused",
        "reading apiservices is refused",
    ]


def test_a_cluster_that_answers_no_review(cluster: FakeCluster) -> None:
    cluster.review = False
    rows = check("shop", cluster)[16:]
    assert {(row.state, row.found) for row in rows} == {(State.WARNING, "the cluster gave no answer")}


def test_a_context_that_does_not_exist(cluster: FakeCluster) -> None:
    cluster.config = Answer(1, "", "error: cannot locate context shop\n")
    with pytest.raises(UsageError) as caught:
        check("shop", cluster)
    assert str(caught.value) == (
        "the kubeconfig has no context 'shop'\n"
        "  found  it has: kind-kind, prod\n"
        "  do     SLIPWAY_KUBECONTEXT=NAME with one of these, or KUBECONFIG=FILE with the file that has it"
    )


def test_a_cluster_that_does_not_answer(cluster: FakeCluster) -> None:
    refused = "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"
    cluster.version = Answer(1, "", f"{refused}\n")
    with pytest.raises(TestbedError) as caught:
        check("shop", cluster)
    assert str(caught.value) == (
        "the cluster of the context 'shop' does not answer\n"
        f"  found  {refused}\n"
        f"  do     start it, or connect to its network; then: {K} version"
    )


def test_a_login_that_ran_out(cluster: FakeCluster) -> None:
    cluster.version = Answer(1, "", "error: You must be logged in to the server (Unauthorized)\n")
    with pytest.raises(TestbedError, match="does not know who asks"):
        check("shop", cluster)


def test_a_cluster_that_goes_away_meanwhile(cluster: FakeCluster) -> None:
    cluster.nodes = Answer(1, "", "Unable to connect to the server: context deadline exceeded\n")
    with pytest.raises(TestbedError, match="stopped answering"):
        check("shop", cluster)


def test_flags_are_read_however_they_are_written() -> None:
    item = workload("a/b", "x/y:1.2", "serve", "--One=1", "--two", "2", "--three", "-four")
    (container,) = Workload.read(item).containers
    assert [container.flag(name) for name in ("one", "TWO", "three", "four", "five")] == [
        "1",
        "2",
        "true",
        "true",
        None,
    ]
    assert (container.program, container.version) == ("y", (1, 2))


def test_no_kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(UsageError) as caught:
        run_kubectl(["version"], "")
    assert str(caught.value) == (
        "kubectl is not installed: an existing cluster is reached through it\n"
        "  found  no kubectl on PATH\n"
        "  do     install it: https://kubernetes.io/docs/tasks/tools/#kubectl"
    )


def test_kubectl_is_run_with_its_input_and_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_text('#!/bin/sh\ncat; echo "$@"; echo no >&2; exit 3\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bin_folder = tmp_path / "cache" / "slipway" / "testbed" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "kubectl").symlink_to(program)
    assert run_kubectl(["get", "x y"], "in\n") == Answer(3, "in\nget x y\n", "no\n")

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("kubectl", 60)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(TestbedError, match="did not end within 60 s"):
        run_kubectl(["get", "nodes"], "")
