"""Where the ledger is: read from the environment, as command line and scripts need it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from slipway.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLES: Final = ("SLIPWAY_LEDGER_DSN", "AIRFLOW_CONN_SLIPWAY_LEDGER")
"""Looked at in this order; the second is how Airflow names its connection `slipway_ledger` in the environment."""


def ledger_dsn(environment: Mapping[str, str]) -> str:
    """Return the libpq address of the ledger.

    :raises RefusedError: no variable says where it is, or it is not a PostgreSQL address. Never shows the value.
    """
    for name in VARIABLES:
        value = environment.get(name, "").strip()
        if not value:
            continue
        if re.match(r"postgres(ql)?(\+psycopg)?://", value):
            return re.sub(r"^postgres(ql)?(\+psycopg)?://", "postgresql://", value)
        if re.match(r"\w+\s*=", value):
            return value
        raise RefusedError(f"{name} is not an address of PostgreSQL.", mend="give postgresql://USER@HOST:5432/NAME.")
    raise RefusedError(
        "The ledger's address is not known.",
        found=f"neither {VARIABLES[0]} nor {VARIABLES[1]} is set",
        mend=f"export {VARIABLES[0]}=postgresql://USER@HOST:5432/slipway_ledger",
    )
