"""What a later step knows of the earlier ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from slipway.errors import RefusedError
from slipway.flow.facts import Base, facts_of
from slipway.names import EventKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.models import Event


def test_a_release_that_has_only_begun_knows_nothing() -> None:
    facts = facts_of([])

    assert (facts.base, facts.digests, facts.hash, facts.specs) == (Base(), {}, "", None)
    assert facts.base.is_first
    with pytest.raises(RefusedError, match=r"deploy\.upgrade"):
        facts.require_hash()


def test_each_phase_leaves_its_facts(event: Callable[..., Event], base: Callable[..., Event], specs: Event) -> None:
    facts = facts_of([
        event(EventKind.PLANNED, {"requested_by": "ann", "drill_error_rate": 0.2}),
        specs,
        base(),
        event(EventKind.IMAGE_BUILT, {"image": "backend", "digest": "sha256:a"}),
        event(EventKind.IMAGE_BUILT, {"image": "frontend", "digest": "sha256:b"}),
        event(EventKind.DEPLOYED, {"helm_revision": 4, "pod_template_hash": "new1"}),
    ])  # fmt: skip

    assert facts.base == Base("0.9.0", 3, "old1")
    assert not facts.base.is_first
    assert facts.digests == {"backend": "sha256:a", "frontend": "sha256:b"}
    assert (facts.require_hash(), facts.deployed_revision) == ("new1", 4)
    assert facts.details["drill_error_rate"] == 0.2
    assert facts.specs == (specs.payload["release"], specs.payload["environment"])


def test_an_image_that_was_built_again_counts_as_built_last(event: Callable[..., Event]) -> None:
    built = [
        event(EventKind.IMAGE_BUILT, {"image": "backend", "digest": digest}) for digest in ("sha256:a", "sha256:c")
    ]

    assert facts_of(built).digests == {"backend": "sha256:c"}


@pytest.mark.parametrize("missing", [None, ""])
def test_no_stable_version_is_a_first_install(base: Callable[..., Event], missing: str | None) -> None:
    assert facts_of([base(None, None, missing)]).base.is_first


def test_a_note_of_somebody_else_is_no_fact(event: Callable[..., Event]) -> None:
    facts = facts_of(
        [event(EventKind.NOTED, {"version": "9.9.9", "pod_template_hash": "x"}, key="reference:weight-50")]
    )

    assert facts.base == Base()
