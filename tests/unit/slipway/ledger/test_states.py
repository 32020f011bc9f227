from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from slipway.ledger import states
from slipway.names import ReleaseState


def test_every_state_has_followers_and_a_meaning() -> None:
    assert set(states.MAY_FOLLOW) == set(states.MEANING) == set(ReleaseState)
    assert all(text.endswith(".") for text in states.MEANING.values())
    assert all(state not in following for state, following in states.MAY_FOLLOW.items())


def test_the_way_of_a_good_release() -> None:
    way = ["PLANNED", "BUILT", "DEPLOYED", "MIGRATED", "MONITORED", "CANARY", "BAKING", "PROMOTED"]
    for before, after in itertools.pairwise(way):
        assert states.may_follow(ReleaseState(before), ReleaseState(after))


@pytest.mark.parametrize(
    ("state", "ended", "terminal"),
    [
        ("PLANNED", False, False),
        ("CANARY", False, False),
        ("PROMOTED", True, False),
        ("ROLLING_BACK", False, False),
        ("ROLLBACK_FAILED", False, False),
        ("ROLLED_BACK", True, True),
        ("CANCELLED", True, True),
    ],
)
def test_which_states_are_active_and_which_are_the_last(state: str, ended: bool, terminal: bool) -> None:
    assert states.is_active(ReleaseState(state)) is not ended
    assert states.is_terminal(ReleaseState(state)) is terminal


class Life(RuleBasedStateMachine):
    """A release that takes any allowed step: what must hold on every way there is."""

    @initialize()
    def plan(self) -> None:
        self.way = [ReleaseState.PLANNED]

    @property
    def state(self) -> ReleaseState:
        return self.way[-1]

    @precondition(lambda self: states.is_terminal(self.state))
    @rule()
    def stay(self) -> None:
        assert not any(states.may_follow(self.state, after) for after in ReleaseState)

    @precondition(lambda self: not states.is_terminal(self.state))
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        self.way.append(data.draw(st.sampled_from(sorted(states.MAY_FOLLOW[self.state]))))

    @invariant()
    def the_first_step_back_is_the_last_one_forward(self) -> None:
        back = [index for index, state in enumerate(self.way) if state in states.GOING_BACK]
        assert all(state in states.GOING_BACK for state in self.way[back[0] :]) if back else True

    @invariant()
    def no_phase_is_met_twice(self) -> None:
        forward = [state for state in self.way if state in states.FORWARD]
        assert len(forward) == len(set(forward))

    @invariant()
    def nothing_is_promoted_without_a_bake_behind_monitoring(self) -> None:
        if ReleaseState.PROMOTED in self.way:
            before = self.way[: self.way.index(ReleaseState.PROMOTED)]
            assert before[-1] is ReleaseState.BAKING
            assert ReleaseState.MONITORED in before

    @invariant()
    def what_met_the_cluster_is_never_cancelled(self) -> None:
        if self.state is ReleaseState.CANCELLED:
            assert ReleaseState.DEPLOYED not in self.way

    @invariant()
    def a_safe_end_can_always_be_reached(self) -> None:
        seen, edge = set[ReleaseState](), {self.state}
        while edge:
            seen |= edge
            edge = {after for state in edge for after in states.MAY_FOLLOW[state]} - seen
        assert seen & states.ENDED


TestLife = Life.TestCase
