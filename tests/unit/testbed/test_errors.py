from __future__ import annotations

from testbed.errors import TestbedError


def test_says_what_was_found_and_what_to_do_in_columns() -> None:
    error = TestbedError("etcd did not come up", found="line one\nline two", do="python -m testbed logs etcd")
    assert str(error) == (
        "etcd did not come up\n  found  line one\n         line two\n  do     python -m testbed logs etcd"
    )


def test_says_nothing_that_it_does_not_know() -> None:
    assert str(TestbedError("no testbed is running")) == "no testbed is running"
