from __future__ import annotations

import pytest
from slipway.errors import RefusedError
from slipway.ledger.address import ledger_dsn


@pytest.mark.parametrize(
    ("environment", "dsn"),
    [
        ({"SLIPWAY_LEDGER_DSN": "postgresql://u@h/d"}, "postgresql://u@h/d"),
        ({"AIRFLOW_CONN_SLIPWAY_LEDGER": "postgres://u:p@h:5432/d"}, "postgresql://u:p@h:5432/d"),
        ({"SLIPWAY_LEDGER_DSN": " ", "AIRFLOW_CONN_SLIPWAY_LEDGER": "postgresql+psycopg://h/d"}, "postgresql://h/d"),
        ({"SLIPWAY_LEDGER_DSN": "host=h dbname=d", "AIRFLOW_CONN_SLIPWAY_LEDGER": "postgres://x"}, "host=h dbname=d"),
    ],
)
def test_finds_the_address(environment: dict[str, str], dsn: str) -> None:
    assert ledger_dsn(environment) == dsn


def test_says_what_to_set() -> None:
    with pytest.raises(RefusedError) as refused:
        ledger_dsn({})
    assert str(refused.value) == (
        "The ledger's address is not known.\n"
        "  found  neither SLIPWAY_LEDGER_DSN nor AIRFLOW_CONN_SLIPWAY_LEDGER is set\n"
        "  do     export SLIPWAY_LEDGER_DSN=postgresql://USER@HOST:5432/slipway_ledger"
    )


def test_does_not_show_what_it_cannot_read() -> None:
    with pytest.raises(RefusedError) as refused:
        ledger_dsn({"SLIPWAY_LEDGER_DSN": "mysql://u:hunter2@h/d"})
    assert "hunter2" not in str(refused.value)
