"""A fix does not wait for a bake: the newer release asks, and the older one's own run promotes it before its time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from slipway.names import EventKind, ReleaseState

from tests.e2e.page import APPLICATION, ENVIRONMENT, RELEASE_S, nothing_is_lost, replaced

if TYPE_CHECKING:
    from tests.e2e.page import Page

pytestmark = pytest.mark.slow
OLDER, NEWER = "1.4.0", "1.5.0"
BAKE_S = 900
"""Longer than this module may take: what ends before it was ended by somebody."""


@pytest.mark.timeout(3 * RELEASE_S)
def test_a_newer_release_ends_a_bake_and_both_runs_are_green(page: Page, served: str) -> None:
    config = page.project / f"include/config/{ENVIRONMENT}.yaml"
    quick = config.read_text(encoding="utf-8")
    with page.users() as load:
        config.write_text(replaced(quick, "\n  retain_s: 8\n", f"\n  retain_s: {BAKE_S}\n"), encoding="utf-8")
        older = page.trigger(OLDER)
        page.airflow.wait_for_task(older, "canary.bake", {"deferred"}, within_s=RELEASE_S)
        config.write_text(quick, encoding="utf-8")

        refused = page.trigger(NEWER)
        assert page.airflow.wait(refused, within_s=60) == "failed"
        assert "(BAKING); one release at a time" in page.told(refused)

        asked = time.monotonic()
        newer = page.trigger(NEWER, supersede_reason="a fix that cannot wait")
        assert page.airflow.wait(older, within_s=120) == "success", page.told(older)
        print(f"asked to promoted, both runs' tasks included: {time.monotonic() - asked:.0f} s")
        assert page.airflow.wait(newer, within_s=RELEASE_S) == "success", page.told(newer)
        answers = load.stop()

    first, second = page.release_of(older), page.release_of(newer)
    assert (first.state, second.state) == (ReleaseState.PROMOTED, ReleaseState.PROMOTED)
    assert second.previous == first.id
    assert first.epoch == 1, "nobody was fenced off"
    verdict = [event for event in page.store.events(first.id) if event.kind is EventKind.VERDICT][-1]
    assert verdict.payload["verdict"] == "PASS"
    assert verdict.payload["reasons"][0] == (
        f"{APPLICATION} {NEWER} in {ENVIRONMENT} ends this bake: a fix that cannot wait"
    )
    assert page.stable() != served
    nothing_is_lost(answers)
