"""Versions: strict, and ordered as semver.org says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway.errors import SpecError
from slipway.spec.version import PATTERN, Version

ORDERED = [
    "0.9.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
    "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0",
]  # fmt: skip


def test_the_order_is_that_of_semver() -> None:
    assert sorted(map(Version, reversed(ORDERED))) == [Version(text) for text in ORDERED]
    assert Version("1.0.0-rc.1").is_prerelease
    assert not Version("1.0.0").is_prerelease


@pytest.mark.parametrize(
    "text",
    ["v1.0.0", "1.0", "1.0.0+build", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0 ", "1.0.0\n", "", "1.0.0;rm", "1.0.x",
     "$(id)", "{{ ds }}", "../1.0.0", "1.0.0-" + "a" * 60, "\uff11.0.0"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(SpecError, match=r"for example 1\.0\.0 or 1\.1\.0-rc\.1"):
        Version(text)


@given(st.from_regex(PATTERN, fullmatch=True).filter(lambda text: len(text) <= 60 and text.isascii()))
def test_what_the_form_admits_is_a_version_with_an_order(text: str) -> None:
    version = Version(text.removesuffix("\n"))
    assert re.fullmatch(r"[0-9A-Za-z.-]+", str(version))
    assert version <= version
    assert (version < Version("1.0.0")) != (version >= Version("1.0.0"))
