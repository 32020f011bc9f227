"""Bad values are refused, in a sentence that names the place and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.charts.chart import digest, refusal

SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "a tag instead of a digest": (
        {"backend": {"digest": "1.0.0"}},
        "backend.digest: not a digest; a tag can be moved, so it is refused\n"
        '  found     "1.0.0"\n'
        "  expected  sha256: and 64 hexadecimal digits\n"
        "  do        take the digest that the push printed, for example --set backend.digest=sha256:...",
    ),
    "no digest": (
        {"worker": {"digest": ""}},
        'worker.digest: the image is not named\n  found     ""\n  expected  sha256: and 64 hexadecimal digits',
    ),
    "a tag in the image": (
        {"frontend": {"image": "registry.example.com:5000/hive/frontend:latest"}},
        "frontend.image: holds a tag or a digest, and a tag can be moved\n"
        "  found     registry.example.com:5000/hive/frontend:latest\n"
        "  expected  the repository alone, for example registry.example.com/hive-platform/backend\n"
        "  do        put what was pushed into frontend.digest",
    ),
    "a digest in the image": (
        {"beat": {"image": f"registry.example.com/hive/backend@{digest('a')}"}},
        "beat.image: holds a tag or a digest",
    ),
    "an unknown queue": (
        {"worker": {"queues": ["scan", "merge", "scna"]}},
        'worker.queues: "scna" is not a queue of the application\n'
        "  expected  scan, merge\n"
        "  do        correct the name; a worker of an unknown queue would take no task",
    ),
    "a queue that nobody reads": (
        {"worker": {"queues": ["scan"]}},
        'worker.queues: nobody would work off the queue "merge"\n  found     scan\n  expected  scan, merge',
    ),
    "an API that is killed too early": (
        {"backend": {"terminationGracePeriodSeconds": 29}},
        "backend.terminationGracePeriodSeconds: Kubernetes would kill the process before it has ended its work\n"
        "  found     29\n"
        "  expected  30 or more (settings.api.drain_s + settings.api.shutdown_grace_s + 5)\n"
        "  do        remove it, then it is computed from the settings",
    ),
    "a worker that is killed too early": (
        {"worker": {"terminationGracePeriodSeconds": 60}},
        "worker.terminationGracePeriodSeconds: Kubernetes would kill the process before it has ended its work\n"
        "  found     60\n"
        "  expected  70 or more (settings.celery.worker_shutdown_grace_s + 10)",
    ),
    "an autoscaler without room": (
        {"backend": {"autoscaling": {"maxReplicas": 2}}},
        "backend.autoscaling.maxReplicas: less than backend.replicas, the least that autoscaling keeps\n"
        "  found     2\n"
        "  expected  3 or more",
    ),
}


@pytest.mark.parametrize("case", SENTENCES)
def test_is_refused_in_a_sentence(case: str) -> None:
    values, sentence = SENTENCES[case]
    assert sentence in refusal(values)


SCHEMA: dict[str, tuple[dict[str, Any], str, str]] = {
    "an unknown key": ({"bakend": {}}, "", "additional properties 'bakend' not allowed"),
    "an unknown key far below": (
        {"backend": {"autoscaling": {"max": 5}}},
        "/backend/autoscaling",
        "additional properties 'max' not allowed",
    ),
    "an unknown setting": (
        {"settings": {"api": {"drain_seconds": 5}}},
        "/settings/api",
        "additional properties 'drain_seconds' not allowed",
    ),
    "a secret among the settings": (
        {"settings": {"database": {"database_password": "x"}}},
        "/settings/database",
        "additional properties 'database_password' not allowed",
    ),
    "a version among the settings": (
        {"settings": {"process": {"version": "1"}}},
        "/settings/process",
        "additional properties 'version' not allowed",
    ),
    "a setting of the wrong type": (
        {"settings": {"celery": {"worker_concurrency": "two"}}},
        "/settings/celery/worker_concurrency",
        "got string, want integer",
    ),
    "a setting out of its limits": (
        {"settings": {"api": {"port": 70000}}},
        "/settings/api/port",
        "maximum: got 70,000, want 65,535",
    ),
    "an unknown router": (
        {"ingress": {"router": "envoy"}},
        "/ingress/router",
        "value must be one of 'traefik', 'nginx'",
    ),
    "no replica": ({"backend": {"replicas": 0}}, "/backend/replicas", "minimum: got 0, want 1"),
    "a limit without memory": (
        {"beat": {"resources": {"limits": {"memory": None}}}},
        "/beat/resources/limits",
        "missing property 'memory'",
    ),
    "a password for the migration": (
        {"migration": {"env": {"PGPASSWORD": "x"}}},
        "",
        "invalid propertyName 'PGPASSWORD'",
    ),
    "a silence that is shorter than the looks at it": (
        {"deadManSwitch": {"heartbeat": {"maxAgeSeconds": 5}}},
        "/deadManSwitch/heartbeat/maxAgeSeconds",
        "minimum: got 5, want 15",
    ),
    "a policy open to everybody by mistake": (
        {"networkPolicy": {"router": []}},
        "/networkPolicy/router",
        "minItems: got 0, want 1",
    ),
}


@pytest.mark.parametrize("case", SCHEMA)
def test_is_refused_with_its_path(case: str) -> None:
    values, path, reason = SCHEMA[case]
    said = refusal(values)
    assert f"at '{path}':" in said
    assert reason in said
