"""The ledger on a real PostgreSQL: the testbed's, or the one that SLIPWAY_TEST_POSTGRES names."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from slipway.ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVER = os.environ.get("SLIPWAY_TEST_POSTGRES", "postgresql://postgres:testbed@10.200.0.1:5432")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """Address of a database of this module's own."""
    name = f"ledger_test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True, connect_timeout=5) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        try:
            yield f"{SERVER}/{name}"
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def store(database: str) -> Store:
    made = Store(database)
    made.ensure()
    return made


@pytest.fixture
def place() -> str:
    """Name of an application that no other test uses."""
    return f"app-{uuid.uuid4().hex[:8]}"
