"""The sign of life on an API server that is one Lease, with others who write it in between."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from lightkube.core.exceptions import ApiError
from slipway.errors import ClusterError
from slipway.hooks import heartbeat
from slipway.hooks.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

MINE, OTHER = "shop-1.0.1-production-1", "shop-1.0.0-production-1"


def api_error(code: int) -> ApiError:
    request = httpx2.Request("GET", "https://api.test")
    body = {"kind": "Status", "code": code, "reason": "Reason", "message": "no"}
    return ApiError(request=request, response=httpx2.Response(code, json=body, request=request))


class Api:
    """A namespace with at most one Lease.

    :param meddle: called before each write; whoever writes then makes ours conflict.
    """

    namespace = "shop"

    def __init__(self, spec: dict[str, Any] | None = None) -> None:
        self.lease: dict[str, Any] | None = None
        self.meddle: Callable[[], None] = lambda: None
        self.down = 0
        self.writes = 0
        if spec is not None:
            self.put(spec)

    def put(self, spec: dict[str, Any]) -> None:
        version = int(self.lease["metadata"]["resourceVersion"]) + 1 if self.lease else 1
        self.lease = {"metadata": {"name": "slipway-shop", "resourceVersion": str(version)}, "spec": spec}

    @property
    def spec(self) -> dict[str, Any]:
        assert self.lease is not None
        return {key: value for key, value in self.lease["spec"].items() if value is not None}

    def get(self, _: object, name: str) -> Any:
        assert name == "slipway-shop"
        if self.down:
            raise api_error(self.down)
        if self.lease is None:
            raise api_error(404)
        seen = copy.deepcopy(self.lease)
        return SimpleNamespace(to_dict=lambda: seen)

    def create(self, lease: Any) -> None:
        self.writes += 1
        self.meddle()
        if self.lease is not None:
            raise api_error(409)
        self.put(lease.to_dict()["spec"])

    def patch(self, _: object, __: str, body: dict[str, Any], *, patch_type: Any) -> None:
        assert patch_type.name == "MERGE"
        self.writes += 1
        self.meddle()
        assert self.lease is not None
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise api_error(409)
        self.put({**self.lease["spec"], **body["spec"]})


def held(by: str, at: str = "2026-11-24T12:00:00.000000Z", transitions: int = 0) -> dict[str, Any]:
    return {
        "holderIdentity": by, "acquireTime": at, "renewTime": at, "leaseDurationSeconds": 1800,
        "leaseTransitions": transitions,
    }  # fmt: skip


def of(api: Api) -> Heartbeat:
    return Heartbeat(api, "shop", MINE, 1800)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(1, 60))
    monkeypatch.setattr(heartbeat, "_now", lambda: f"2026-11-24T13:00:{next(ticks):02}.000000Z")


def test_the_first_sign_of_life_makes_the_lease() -> None:
    api = Api()

    assert of(api).renew(take=True)

    assert (api.spec["holderIdentity"], api.spec["leaseDurationSeconds"]) == (MINE, 1800)
    assert api.spec["leaseTransitions"] == 0


def test_later_ones_change_the_time_alone() -> None:
    api = Api(held(MINE, transitions=4))

    assert of(api).renew()
    assert of(api).renew()

    assert api.spec == held(MINE, transitions=4) | {"renewTime": "2026-11-24T13:00:02.000000Z"}


@pytest.mark.parametrize("lease", [None, held(OTHER), {"leaseTransitions": 3}])
def test_what_is_not_its_own_is_left_alone(lease: dict[str, Any] | None) -> None:
    api = Api(lease)

    assert not of(api).renew()
    assert not of(api).end()

    assert api.writes == 0


@pytest.mark.parametrize("lease", [held(OTHER, transitions=3), {"leaseTransitions": 3}])
def test_it_is_taken_over_when_that_is_wanted(lease: dict[str, Any]) -> None:
    api = Api(lease)

    assert of(api).renew(take=True)

    assert (api.spec["holderIdentity"], api.spec["leaseTransitions"]) == (MINE, 4)
    assert api.spec["acquireTime"] == api.spec["renewTime"] == "2026-11-24T13:00:01.000000Z"


def test_an_ended_one_has_no_time_so_that_it_has_no_age() -> None:
    api = Api(held(MINE, transitions=2))

    assert of(api).end()
    assert not of(api).end()

    assert api.spec == {"leaseDurationSeconds": 1800, "leaseTransitions": 2}


def test_a_watch_that_is_overtaken_between_look_and_patch_does_not_revive_it() -> None:
    """The rollback ends it in this very moment."""
    api = Api(held(MINE))
    api.meddle = lambda: api.put({"leaseTransitions": 0})

    assert not of(api).renew()

    assert "renewTime" not in api.spec


def test_two_that_make_it_at_once_make_one() -> None:
    api = Api()

    def first() -> None:
        api.meddle = lambda: None
        api.put(held(MINE))

    api.meddle = first

    assert of(api).renew(take=True)
    assert api.spec["renewTime"] == "2026-11-24T13:00:02.000000Z"


def test_an_endless_quarrel_is_an_error() -> None:
    api = Api(held(MINE))
    api.meddle = lambda: api.put(held(MINE))

    with pytest.raises(ClusterError, match=r"Lease shop/slipway-shop was changed by somebody else 3 times"):
        of(api).renew()


def test_a_refusal_is_told_in_words() -> None:
    api = Api(held(MINE))
    api.down = 403

    with pytest.raises(ClusterError, match=r"the API server refused to read Lease shop/slipway-shop"):
        of(api).renew()


def test_the_time_is_a_micro_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The API server refuses one without its six digits."""
    monkeypatch.undo()
    from datetime import datetime

    text = heartbeat._now()
    assert len(text) == len("2026-11-24T13:00:00.000000Z")
    assert datetime.fromisoformat(text).tzinfo is not None


def test_it_says_whose_sign_of_life_it_is() -> None:
    assert of(Api()).seen() == ""
    assert of(Api(held(OTHER))).seen() == OTHER
    assert of(Api({})).seen() == ""
