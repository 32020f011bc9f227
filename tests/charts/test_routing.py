"""The way in: one host, the page at /, the API below /api/, https, and which pods may speak to which."""

from __future__ import annotations

from typing import Any

from tests.charts.chart import RELEASE, render


def test_one_host_leads_to_the_page_and_to_the_weighted_api() -> None:
    """7.3: Ingress (HTTPS + TLS)."""
    route = render().get("IngressRoute")
    assert route["spec"]["entryPoints"] == ["websecure"]
    assert route["spec"]["tls"] == {"secretName": "hive-platform-tls"}
    assert route["metadata"]["annotations"] == {"kubernetes.io/ingress.class": "traefik"}
    api, page = route["spec"]["routes"]
    assert api["match"] == "Host(`hive.example.com`) && PathPrefix(`/api/`)"
    assert api["services"] == [{"kind": "TraefikService", "name": f"{RELEASE}-backend"}]
    assert page["match"] == "Host(`hive.example.com`)"
    assert page["services"] == [{"name": f"{RELEASE}-frontend", "port": 80}]
    assert api["priority"] > page["priority"]


def test_the_router_s_own_certificate_serves_when_none_is_named() -> None:
    assert render("local").get("IngressRoute")["spec"]["tls"] == {}


def test_http_is_redirected_unless_somebody_else_does_it() -> None:
    assert render().get("IngressRoute", "to-https")["spec"]["entryPoints"] == ["web"]
    assert render().get("Middleware", "to-https")["spec"]["redirectScheme"] == {"scheme": "https", "permanent": True}
    assert render("", {"ingress": {"redirectHttp": False}}).of("Middleware") == []


def test_nginx_is_routed_by_ingresses_and_argo_s_copy_of_one() -> None:
    """7.3: Nginx Ingress."""
    objects = render("", {"ingress": {"router": "nginx", "className": "internal-nginx"}})
    for kind in ("IngressRoute", "TraefikService", "Middleware"):
        assert objects.of(kind) == []
    routing = objects.get("Rollout", "backend")["spec"]["strategy"]["canary"]["trafficRouting"]
    assert routing == {"nginx": {"stableIngress": f"{RELEASE}-backend"}}
    for name, path, service in (("backend", "/api/", "backend-stable"), ("frontend", "/", "frontend")):
        ingress = objects.get("Ingress", name)
        assert ingress["spec"]["ingressClassName"] == "internal-nginx"
        assert ingress["spec"]["tls"] == [{"hosts": ["hive.example.com"], "secretName": "hive-platform-tls"}]
        assert ingress["metadata"]["annotations"] == {"nginx.ingress.kubernetes.io/ssl-redirect": "true"}
        (rule,) = ingress["spec"]["rules"]
        (found,) = rule["http"]["paths"]
        assert (found["path"], found["backend"]["service"]["name"]) == (path, f"{RELEASE}-{service}")


def test_the_class_s_certificate_serves_nginx_when_none_is_named() -> None:
    objects = render("", {"ingress": {"router": "nginx", "tls": {"secretName": ""}}})
    assert objects.get("Ingress", "backend")["spec"]["tls"] == [{"hosts": ["hive.example.com"]}]


class TestNetworkPolicies:
    def policy(self, component: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        return dict(render("", values).get("NetworkPolicy", component)["spec"])

    def ports_out(self, component: str) -> set[int | str]:
        return {port["port"] for rule in self.policy(component).get("egress", []) for port in rule["ports"]}

    def test_close_everything_first(self) -> None:
        nothing = self.policy("nothing")
        assert nothing["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in nothing
        assert "egress" not in nothing
        labels = nothing["podSelector"]["matchLabels"]
        assert labels == {"app.kubernetes.io/name": RELEASE, "app.kubernetes.io/instance": RELEASE}

    def test_let_out_exactly_what_a_component_needs(self) -> None:
        dns, postgresql, redis, sentry, hdfs = 53, 5432, 6379, 443, {9870, 9864}
        assert self.ports_out("backend") == {dns, postgresql, redis, sentry}
        assert self.ports_out("worker") == {dns, postgresql, redis, sentry, *hdfs}
        assert self.ports_out("beat") == {dns, postgresql, redis, sentry}
        assert self.ports_out("migration") == {dns, postgresql, sentry}
        assert self.ports_out("frontend") == set(), "nginx asks nobody"
        assert self.ports_out("test") == {dns, "http"}

    def test_let_in_the_router_prometheus_and_the_chart_s_test(self) -> None:
        router = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "traefik"}}}
        prometheus = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        test = {
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/name": RELEASE,
                    "app.kubernetes.io/instance": RELEASE,
                    "app.kubernetes.io/component": "test",
                }
            }
        }
        from_users = {"from": [router, test], "ports": [{"port": "http"}]}
        assert self.policy("backend")["ingress"] == [from_users, {"from": [prometheus], "ports": [{"port": "http"}]}]
        assert self.policy("frontend")["ingress"] == [from_users]
        for component in ("worker", "beat"):
            assert self.policy(component)["ingress"] == [{"from": [prometheus], "ports": [{"port": "metrics"}]}]
        for component in ("migration", "test"):
            assert "ingress" not in self.policy(component)

    def test_reach_the_addresses_that_values_name(self) -> None:
        peers = [{"ipBlock": {"cidr": "10.1.2.0/24", "except": ["10.1.2.9/32"]}}]
        egress = {"metastore": {"enabled": True}, "postgresql": {"to": peers, "ports": [6432]}}
        rules = self.policy("worker", {"networkPolicy": {"egress": egress}})["egress"]
        assert {"ports": [{"port": 6432, "protocol": "TCP"}], "to": peers} in rules
        assert {"ports": [{"port": 9083, "protocol": "TCP"}]} in rules

    def test_dns_goes_by_udp_and_tcp_to_the_cluster_s_own(self) -> None:
        rule = self.policy("backend")["egress"][0]
        assert {port["protocol"] for port in rule["ports"]} == {"UDP", "TCP"}
        assert rule["to"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}]

    def test_can_be_left_out(self) -> None:
        assert render("", {"networkPolicy": {"enabled": False}}).of("NetworkPolicy") == []
