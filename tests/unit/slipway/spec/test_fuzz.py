"""Whatever comes: no traceback, no secret echoed, every refusal names its place."""

from __future__ import annotations

import copy
import re
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slipway.errors import SpecError
from slipway.spec.environment import load_environment
from slipway.spec.findings import is_secret, names_secret, nearest, shown
from slipway.spec.reading import parse
from slipway.spec.release import load_release

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[4]
LOADERS = {
    "production": (load_environment, yaml.safe_load((ROOT / "include/config/production.yaml").read_text())),
    "local": (load_environment, yaml.safe_load((ROOT / "include/config/local.yaml").read_text())),
    "hive-platform": (load_release, yaml.safe_load((ROOT / "include/releases/hive-platform.yaml").read_text())),
}
SECRETS = st.text("abcdefghijkmnopqrstuvwxyzABCDEFGH23456789", min_size=12, max_size=24).map(lambda text: "Zq7" + text)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SCALARS = st.one_of(TEXT, st.integers(), st.floats(), st.booleans(), st.none())
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
PLACE = re.compile(r"^x\.yaml(:\d+)?: .+", re.MULTILINE)
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [deeper for key, below in items for deeper in places(below, (*path, key))]


def changed(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    result = copy.deepcopy(document)
    here: Any = result
    for step in path[:-1]:
        here = here[step]
    here[path[-1]] = value
    return result


def load(name: str, content: bytes) -> str | None:
    """Load a file of these bytes and return the refusal, or None; anything but a SpecError ends the test."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.yaml"
        file.write_bytes(content)
        return refusal(lambda: LOADERS[name][0](file, "x.yaml"))


def refusal(act: Callable[[], object]) -> str | None:
    """Return the refusal with all that a log would print of it, or None."""
    try:
        act()
    except SpecError as error:
        return "".join(traceback.format_exception_only(error)) + ("chained" if _chained(error) else "")
    return None


def _chained(error: BaseException) -> bool:
    """Say whether a log would print another exception with it, which may quote its input."""
    return error.__cause__ is not None or (error.__context__ is not None and not error.__suppress_context__)


def dumped(document: Any) -> bytes:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True).encode()


@QUICK
@given(st.binary(max_size=300) | st.text(st.characters(exclude_categories=["Cs"]), max_size=300).map(str.encode))
def test_any_bytes_are_read_or_refused_with_a_place(content: bytes) -> None:
    """7.1: whatever a file holds, a person gets sentences with a place, never a traceback."""
    refused = refusal(lambda: parse(content, "x.yaml"))
    assert refused is None or PLACE.search(refused)


YAML_PIECES = st.sampled_from(
    ["a: ", "- ", "\n", "  ", "[", "]", "{", "}", "&a ", "*a", "!!x ", "? ", ": ", "'", '"', "|\n", ">\n", "#", "---\n",
     "...\n", "<<: ", "%YAML 1.1\n", "@", "`", "\t", "1", "yes", ".nan", "2026-01-01", "\\x", "\u2028", "\x85", "word"],
)  # fmt: skip


@QUICK
@given(st.lists(YAML_PIECES, max_size=40).map("".join))
def test_pieces_of_yaml_are_read_or_refused_with_a_place(content: str) -> None:
    refused = refusal(lambda: parse(content.encode(), "x.yaml"))
    assert refused is None or PLACE.search(refused)


@QUICK
@given(st.data())
def test_a_valid_document_with_one_change_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(LOADERS)))
    document = LOADERS[name][1]
    path = data.draw(st.sampled_from(places(document)))
    refused = load(name, dumped(changed(document, path, data.draw(ANYTHING))))
    assert refused is None or PLACE.search(refused)


@QUICK
@given(st.data())
def test_a_cut_or_spoilt_file_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(LOADERS)))
    content = dumped(LOADERS[name][1])
    at = data.draw(st.integers(0, len(content)))
    refused = load(name, content[:at] + data.draw(st.binary(max_size=3)) + content[at + data.draw(st.integers(0, 9)) :])
    assert refused is None or PLACE.search(refused)


def _forms(secret: str) -> list[str]:
    return [
        f"postgresql://user:{secret}@host:5432/db",
        f"postgresql+psycopg://user:{secret}@@host/db",
        f"redis://:{secret}@host/0",
        f"https://host/robot/send?access_token={secret}",
        f"https://hooks.slack.com/services/T000/B000/{secret}",
        f"host=db user=u password={secret}",
        f"Bearer {secret}",
        f"-----BEGIN PRIVATE KEY-----{secret}",
    ]


@QUICK
@given(st.data(), SECRETS)
def test_a_secret_in_the_place_of_any_value_is_refused_and_not_echoed(data: st.DataObject, secret: str) -> None:
    """7.1: a secret that is written out is refused wherever it stands, and never repeated."""
    name = data.draw(st.sampled_from(sorted(LOADERS)))
    document = LOADERS[name][1]
    path = data.draw(st.sampled_from(places(document)))
    refused = load(name, dumped(changed(document, path, data.draw(st.sampled_from(_forms(secret))))))
    assert refused is not None
    assert secret not in refused
    assert not refused.endswith("chained")
    assert PLACE.search(refused)


NAMES = [
    "password", "db_password", "api_key", "apiKey", "token", "accessToken", "secret", "client_secret", "dsn",
    "sentryDsn", "webhook", "passphrase", "private_key", "credentials",
]  # fmt: skip


@QUICK
@given(st.data(), SECRETS, st.sampled_from(NAMES))
def test_a_secret_under_a_telling_name_is_refused_and_not_echoed(
    data: st.DataObject, secret: str, telling: str
) -> None:
    name = data.draw(st.sampled_from(sorted(LOADERS)))
    document = LOADERS[name][1]
    mappings = [path for path in places(document) if isinstance(_at(document, path), dict)]
    path = data.draw(st.sampled_from(mappings))
    value = data.draw(st.sampled_from([secret, [secret], {"value": secret}, {"env": secret}]))
    refused = load(name, dumped(changed(document, (*path, telling), value)))
    assert secret not in str(refused)
    if isinstance(value, str):
        assert refused is not None


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


@QUICK
@given(st.data(), SECRETS)
def test_a_secret_in_the_place_of_a_reference_is_not_echoed(data: st.DataObject, secret: str) -> None:
    name = data.draw(st.sampled_from(["production", "local"]))
    document = LOADERS[name][1]
    references = [
        path for path in places(document) if path[-1] in {"env", "connection", "file"} and path[0] != "network"
    ]
    references = [path for path in references if isinstance(_at(document, path), str)]
    path = data.draw(st.sampled_from(references))
    broken = data.draw(st.sampled_from([f"{secret}!", f"{secret} ", f"{secret}/{secret}?", f"{secret}:{secret}"]))
    refused = load(name, dumped(changed(document, path, broken)))
    assert refused is not None
    assert secret not in refused


@QUICK
@given(SECRETS, st.sampled_from(["{0}: [", "a: {0}: b", "a: '{0}", "{0}", "- {0}", "a: &{0} b", "a: *{0}", "a: !{0} b",
                                 "? [{0}]\n: c", "a: 1\n{0}"]))  # fmt: skip
def test_a_syntax_error_quotes_nothing(secret: str, form: str) -> None:
    with pytest.raises(SpecError) as error:
        parse(form.format(f"password-{secret}").encode(), "x.yaml")
    assert secret not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_telling_names_are_known(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize("name", ["name", "author", "environment", "keep", "passing", "keys", 3])
def test_other_names_tell_nothing(name: object) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize(
    "value",
    ["postgresql+psycopg://hive@db:5432/x", "https://hive.example.com/a?b=c", "webhdfs://hive@name:9870/w", "sha256:ab",
     "10001:10001", "sum by (pod) (x{a='b'})", "registry.example.com:5000/a/b"],
)  # fmt: skip
def test_what_is_no_secret_may_stand_in_a_file(value: str) -> None:
    assert not is_secret(value)


def test_a_value_is_shown_short_and_only_when_it_may_be() -> None:
    assert shown(("port",), 80800) == "80800"
    assert shown(("a",), True) == "true"
    assert shown(("a",), None) == "nothing"
    assert shown(("a",), {"b": 1}) == "a mapping of 1 key(s)"
    assert shown(("a",), "x" * 200).endswith("...")
    assert "may be a secret" in shown(("db_password",), "x")
    assert "may be a secret" in shown(("password", "value"), "x")
    assert "may be a secret" in shown(("note",), "kJ8s7dLq0PzXc3Vb9NmA")


def test_the_nearest_key_is_found_across_spellings() -> None:
    assert nearest("holdS", ["hold_s", "weight"]) == "hold_s"
    assert nearest("min-requests", ["min_requests"]) == "min_requests"
    assert nearest("colour", ["hold_s", "weight"]) is None
