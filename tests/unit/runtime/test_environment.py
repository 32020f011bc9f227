from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from runtime import environment, settings
from runtime.keys import Keys

if TYPE_CHECKING:
    from runtime.settings import Settings

KEYS = Keys(
    fernet="f" * 44,
    jwt="j" * 64,
    session="s" * 32,
    metadata="m@:/?%",
    ledger="l'$(id)",
    logins={"admin": "it's", "viewer": "v"},
)


def test_a_password_survives_the_address_that_it_stands_in(chosen: Settings) -> None:
    own = environment.variables(chosen, KEYS)
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"):
        address = urlsplit(own[name])
        assert (address.username, address.password, address.hostname) == ("airflow", "m%40%3A%2F%3F%25", "10.200.0.1")
        assert (address.port, address.path) == (5432, "/airflow")


def test_the_ledger_is_an_address_that_libpq_reads(chosen: Settings) -> None:
    own = environment.variables(chosen, KEYS)
    assert own["AIRFLOW_CONN_SLIPWAY_LEDGER"] == (
        "postgresql://slipway_ledger:l%27%24%28id%29@10.200.0.1:5432/slipway_ledger"
    )


def test_the_channels_lead_to_the_sinks(chosen: Settings) -> None:
    own = environment.variables(chosen, KEYS)
    found = {name: json.loads(own[f"AIRFLOW_CONN_SLIPWAY_{name}"]) for name in ("DINGTALK", "SLACK", "SMTP")}
    assert (found["DINGTALK"]["host"], found["DINGTALK"]["port"]) == ("10.200.0.1", 8080)
    assert (found["DINGTALK"]["password"], found["DINGTALK"]["extra"]) == ("testbed", {"secret": "SECtestbed"})
    assert f"{found['SLACK']['host']}/{found['SLACK']['password']}" == "http://10.200.0.1:8080/services/T0/B0/testbed"
    assert (found["SMTP"]["host"], found["SMTP"]["port"]) == ("10.200.0.1", 1025)


def test_without_a_testbed_a_person_names_the_channels(environ: dict[str, str]) -> None:
    chosen = settings.read(environ | {"SLIPWAY_KUBECONTEXT": "shop"})
    mine = {"AIRFLOW_CONN_SLIPWAY_SLACK": '{"conn_type": "slackwebhook"}'}
    found = environment.for_parts(chosen, KEYS, mine)
    assert {name for name in found if name.startswith("AIRFLOW_CONN_")} == {
        "AIRFLOW_CONN_SLIPWAY_LEDGER",
        "AIRFLOW_CONN_SLIPWAY_SLACK",
    }


def test_nothing_that_was_exported_for_another_airflow_changes_this_one(chosen: Settings) -> None:
    found = environment.for_parts(
        chosen,
        KEYS,
        {
            "AIRFLOW_CONN_SLIPWAY_LEDGER": "postgresql://slipway_ledger:of-an-earlier-one@10.200.0.1/slipway_ledger",
            "AIRFLOW_HOME": "/home/me/airflow",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "PYTHONPATH": "/home/me/hacks",
            "KUBECONFIG": "/home/me/production",
            "HOME": "/root",
        },
    )
    own = environment.variables(chosen, KEYS)
    assert found["AIRFLOW_CONN_SLIPWAY_LEDGER"] == own["AIRFLOW_CONN_SLIPWAY_LEDGER"]
    assert found["AIRFLOW_HOME"] == str(chosen.home.airflow)
    assert found["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert found["KUBECONFIG"] == str(chosen.kubeconfig)
    assert found["HOME"] == "/root"
    assert not {"AIRFLOW__CORE__UNIT_TEST_MODE", "PYTHONPATH"} & set(found)


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_the_cluster_is_reached_without_a_proxy(chosen: Settings, name: str) -> None:
    found = environment.for_parts(chosen, KEYS, {name: "intranet", "HTTP_PROXY": "http://proxy:3128"})
    assert (
        found["NO_PROXY"]
        == found["no_proxy"]
        == "intranet,127.0.0.1,localhost,10.200.0.0/16,.testbed.internal,10.200.0.1"
    )


def test_all_that_talks_to_the_api_knows_its_port(environ: dict[str, str]) -> None:
    own = environment.variables(settings.read(environ | {"SLIPWAY_RUNTIME_PORT": "9001"}), KEYS)
    assert own["AIRFLOW__API__PORT"] == "9001"
    assert own["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert own["AIRFLOW__API__BASE_URL"] == own["SLIPWAY_AIRFLOW_URL"] == "http://127.0.0.1:9001"
    assert own["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:9001/execution/"


def test_a_shell_reads_every_value_as_it_is(chosen: Settings) -> None:
    text = environment.for_shell(chosen, KEYS)
    shown = subprocess.run(
        ["sh", "-c", f'{text}\nprintf \'%s\\n\' "$SLIPWAY_AIRFLOW_USER" "$SLIPWAY_AIRFLOW_PASSWORD" "$PATH"'],
        env={"PATH": "/usr/bin:/bin"},
        text=True,
        capture_output=True,
        check=True,
        timeout=10,
    ).stdout.splitlines()
    assert shown[:2] == ["admin", "it's"]
    assert shown[2].endswith(f":{chosen.programs}:/usr/bin:/bin")
