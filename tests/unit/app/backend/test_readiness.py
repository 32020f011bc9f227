"""Which schema a version accepts, in which words it refuses one; and what a release ships."""

from __future__ import annotations

from itertools import pairwise

import pytest
from app.db.revisions import check_identity, check_schema, known_revisions
from app.errors import ConfigurationError, SchemaError, WrongDatabaseError
from app.release import RELEASES, release_of

KNOWN = ("0001", "0002", "0003")


@pytest.mark.parametrize("found", ["0003", "0004", "9f00d"])
def test_its_own_schema_and_any_unknown_one_are_accepted(found: str) -> None:
    check_schema(found, KNOWN)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ("0002", "schema: found 0002, expected 0003 or newer; run python -m app.migrate"),
        (None, "schema: found none, expected 0003 or newer; run python -m app.migrate"),
    ],
)
def test_an_older_schema_is_refused(found: str | None, words: str) -> None:
    with pytest.raises(SchemaError) as refused:
        check_schema(found, KNOWN)
    assert str(refused.value) == words


@pytest.mark.parametrize("found", [None, ("other", "production"), ("hive-platform", "staging")])
def test_a_database_of_somebody_else_is_refused(found: tuple[str, str] | None) -> None:
    with pytest.raises(WrongDatabaseError, match=r"wrong database: db says .*, expected hive-platform in production"):
        check_identity(found, "production", "db")


def test_each_release_ships_a_longer_chain() -> None:
    chains = [known_revisions(release.schema_head) for release in RELEASES]
    for older, newer in pairwise(chains):
        assert newer[: len(older)] == older
        assert len(newer) > len(older)


@pytest.mark.parametrize("version", ["", "1", "1.0", "v1.0.0", "1.0.0 ", "0.1.0", "1.0.0\n", "9" * 9 + ".0.0"])
def test_what_is_no_version_is_refused(version: str) -> None:
    with pytest.raises(ConfigurationError):
        release_of(version)
