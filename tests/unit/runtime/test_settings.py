from __future__ import annotations

from pathlib import Path

import pytest

from runtime import settings
from runtime.home import REPOSITORY
from testbed.errors import UsageError


def test_fits_beside_one_testbed_without_a_variable(environ: dict[str, str], tmp_path: Path) -> None:
    chosen = settings.read({})
    assert chosen.home.folder == Path("/var/lib/slipway-runtime")
    assert (chosen.url, chosen.dags) == ("http://127.0.0.1:8282", REPOSITORY / "dags")
    assert (chosen.metadata, chosen.ledger) == ("airflow", "slipway_ledger")
    assert chosen.postgres == "postgresql://postgres:testbed@10.200.0.1:5432/postgres"
    assert chosen.kubeconfig == tmp_path / "testbed/kubeconfig"
    assert chosen.sinks == "10.200.0.1"


def test_a_second_one_has_names_of_its_own(environ: dict[str, str]) -> None:
    chosen = settings.read(environ | {"SLIPWAY_RUNTIME_SUFFIX": "_two", "SLIPWAY_RUNTIME_PORT": "9000"})
    assert (chosen.metadata, chosen.ledger, chosen.url) == (
        "airflow_two",
        "slipway_ledger_two",
        "http://127.0.0.1:9000",
    )


def test_with_an_existing_cluster_there_are_no_sinks(environ: dict[str, str]) -> None:
    chosen = settings.read(environ | {"SLIPWAY_KUBECONTEXT": "shop", "KUBECONFIG": "/home/me/shop.yaml"})
    assert chosen.sinks is None
    assert chosen.kubeconfig == Path("/home/me/shop.yaml")


def test_an_empty_variable_is_none(environ: dict[str, str]) -> None:
    assert settings.read(environ | {"SLIPWAY_RUNTIME_PORT": ""}).port == 8282


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("PORT", "80", "SLIPWAY_RUNTIME_PORT: Input should be greater than or equal to 1024"),
        ("PORT", "web", "SLIPWAY_RUNTIME_PORT: Input should be a valid integer, unable to parse string as an integer"),
        ("PROT", "8282", "SLIPWAY_RUNTIME_PROT: Extra inputs are not permitted"),
        ("SUFFIX", '"; DROP', "SLIPWAY_RUNTIME_SUFFIX: String should match pattern '^[a-z0-9_]{0,20}$'"),
    ],
)
def test_refuses_what_does_not_fit_and_names_it(environ: dict[str, str], name: str, value: str, found: str) -> None:
    with pytest.raises(UsageError) as refused:
        settings.read(environ | {f"SLIPWAY_RUNTIME_{name}": value})
    assert str(refused.value) == (
        f"the runtime's settings are refused\n  found  {found}\n"
        "  do     known: SLIPWAY_RUNTIME_HOME, SLIPWAY_RUNTIME_PORT, SLIPWAY_RUNTIME_DAGS, SLIPWAY_RUNTIME_SUFFIX, "
        "SLIPWAY_RUNTIME_POSTGRES"
    )


def test_shows_no_password_of_an_address_that_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(UsageError) as refused:
        settings.read(environ | {"SLIPWAY_RUNTIME_POSTGRES": "mysql://root:hunter2@db/x"})
    assert "hunter2" not in str(refused.value)
