from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.errors import RefusedError
from slipway.ledger import chain
from slipway.ledger.models import Event, Sample
from slipway.names import EventKind

AT = datetime(2026, 11, 24, 18, 20, 0, 5, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def chained(*payloads: dict[str, Any]) -> list[Event]:
    events: list[Event] = []
    for seq, payload in enumerate(payloads, start=1):
        event = Event("r-1", seq, AT + timedelta(seconds=seq), "ada", EventKind.NOTED, payload, None, "")
        events.append(replace(event, hash=chain.hash_of(event, events[-1].hash if events else chain.GENESIS)))
    return events


def head(events: list[Event]) -> tuple[int, str]:
    return len(events), events[-1].hash


@settings(deadline=None)  # the machine may be busy
@given(value=JSON)
def test_canonical_text_is_a_fixed_point(value: object) -> None:
    import json

    assert chain.canonical(json.loads(chain.canonical(value))) == chain.canonical(value)


def test_canonical_text_does_not_depend_on_order_or_script() -> None:
    assert chain.canonical({"b": [1.0, None], "a": "é\u2028"}) == '{"a":"\\u00e9\\u2028","b":[1.0,null]}'


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"x": math.nan}, "a number that is not finite"),
        ({"x": AT}, "Object of type datetime is not JSON serializable"),
        ({1: "x"}, "a key of the type int"),
        ({"x": ["a\0b"]}, "a text with a NUL character"),
        ({"\ud800": 1}, "a text with half of a surrogate pair"),
    ],
)
def test_refuses_what_would_not_come_back(value: object, found: str) -> None:
    with pytest.raises(RefusedError) as refused:
        chain.canonical(value)
    assert refused.value.found == found


def test_refuses_a_payload_without_an_end() -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    with pytest.raises(RefusedError, match="cannot be written as JSON"):
        chain.canonical(endless)


def test_writes_moments_in_utc() -> None:
    east = AT.astimezone(timezone(timedelta(hours=8)))
    assert chain.moment(east) == "2026-11-24T18:20:00.000005Z"
    with pytest.raises(RefusedError, match="without a zone"):
        chain.moment(AT.replace(tzinfo=None))


def test_the_first_hash_is_known() -> None:
    # Recomputed by hand with sha256sum: a change of the format is a migration of every ledger.
    import hashlib

    body = '["r-1",1,"2026-11-24T18:20:01.000005Z","ada","noted",null,{"a":1}]'
    assert chained({"a": 1})[0].hash == hashlib.sha256(f"{'0' * 64}\n{body}".encode()).hexdigest()


@settings(deadline=None)  # the machine may be busy
@given(payloads=st.lists(st.dictionaries(st.sampled_from("abc"), JSON, max_size=2), max_size=4))
def test_an_untouched_chain_holds(payloads: list[dict[str, Any]]) -> None:
    assert chain.verify(chained(*payloads)) is None


@settings(deadline=None)  # the machine may be busy
@given(data=st.data(), length=st.integers(2, 6))
def test_any_change_shows_at_its_place(data: st.DataObject, length: int) -> None:
    events = chained(*({"n": n} for n in range(length)))
    index = data.draw(st.integers(0, length - 1))
    changed = data.draw(
        st.sampled_from(
            [
                replace(events[index], payload={"n": -1}),
                replace(events[index], actor="eve"),
                replace(events[index], at=AT - timedelta(days=1)),
                replace(events[index], kind=EventKind.WAIVED),
                replace(events[index], key="k"),
                replace(events[index], hash="f" * 64),
            ]
        )
    )
    broken = chain.verify([*events[:index], changed, *events[index + 1 :]], head(events))
    assert broken == chain.Broken(index + 1, "was changed, or an event before it was")


def test_names_what_is_missing() -> None:
    events = chained({"n": 1}, {"n": 2}, {"n": 3})
    assert str(chain.verify([events[0], events[2]], head(events))) == "event 2 is missing"
    assert str(chain.verify(events[:2], head(events))) == "event 3 is missing"
    assert str(chain.verify([], head(events))) == "event 1 is missing"
    assert str(chain.verify(events, head(events[:2]))) == "event 3 is not the newest one that the release knows"
    foreign = replace(events[1], release_id="r-2")
    assert str(chain.verify([events[0], foreign])) == "event 2 belongs to another release"


def test_a_whole_new_end_does_not_fit_the_release() -> None:
    events, forged = chained({"n": 1}, {"n": 2}), chained({"n": 1}, {"n": 9})
    assert chain.verify(forged) is None
    assert chain.verify(forged, head(events)) == chain.Broken(2, "is not the newest one that the release knows")


def test_the_digest_of_samples_depends_on_each_of_them() -> None:
    samples = [Sample("r-1", AT + timedelta(seconds=n), "canary-10", {"weight": 10, "n": n}) for n in range(3)]
    assert chain.digest(samples) == chain.digest(tuple(samples))
    seen = {chain.digest(samples), chain.digest(samples[:2]), chain.digest(samples[::-1]),
            chain.digest([replace(samples[0], stage="canary-50"), *samples[1:]])}  # fmt: skip
    assert len(seen) == 4
