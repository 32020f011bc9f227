"""Strict YAML: each trap is refused in a sentence with its line, and nothing explodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from slipway.errors import SpecError
from slipway.spec.reading import MAX_BYTES, MAX_NODES, parse, read

if TYPE_CHECKING:
    from pathlib import Path


def refusal(content: str | bytes) -> str:
    with pytest.raises(SpecError) as error:
        parse(content if isinstance(content, bytes) else content.encode(), "x.yaml")
    assert error.value.__cause__ is None
    return str(error.value)


def test_values_and_lines_are_kept() -> None:
    document = parse(b"a: 1\nb:\n  - x: true\n  - y: 0.5\nc: 'yes'\nd:\n", "x.yaml")
    assert document.value == {"a": 1, "b": [{"x": True}, {"y": 0.5}], "c": "yes", "d": None}
    assert document.line(("b", 1, "y")) == 4
    assert document.line(("b", 1, "unknown", 3)) == 4, "the nearest line above"


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "a: the key stands twice\n  found    first in line 1"),
        ("a: &x 1\n", 1, "anchors and aliases are not admitted"),
        ("a: 1\nb: *x\n", 2, "anchors and aliases are not admitted"),
        ("a: !!python/object:os.system {}\n", 1, "explicit tags are not admitted"),
        ("a: !secret x\n", 1, "explicit tags are not admitted"),
        ("a: 1\n---\nb: 2\n", 2, "a second document"),
        ("a:\n\tb: 1\n", 2, "a tab in the indentation"),
        ("1: a\n", 1, "a key is not a word"),
        ("on: a\n", 1, "a key is not a word"),
        ("? [a]\n: b\n", 1, "a key is a mapping or a list"),
        ("'': b\n", 1, "a key is empty or too long"),
        ("a: .nan\n", 1, "a: not a number that can be told apart"),
        ("a: .inf\n", 1, "a: not a number that can be told apart"),
        (
            "a: 2026-12-31\n",
            1,
            "a: YAML would make a date of this\n  found    '2026-12-31'\n  allowed  quotes around it",
        ),
        ("a: yes\n", 1, "a: YAML would read a truth value into this word"),
        ("a: 010\n", 1, "a: YAML would read another number into this one"),
        ("a: 1:30\n", 1, "a: YAML would read another number into this one"),
        ("a: 0x1F\n", 1, "a: YAML would read another number into this one"),
        ("a: 99999999999999999999999\n", 1, "a: YAML would read another number into this one"),
        ("<<: {a: 1}\n", 1, "a key is not a word"),
        ("a: =\n", 1, "a: YAML would guess what this is"),
        ("a: [1\n", 2, "the YAML cannot be read from column 1 on"),
        ("a: b: c\n", 1, "the YAML cannot be read from column 5 on"),
        ("- a\n", 1, "the file holds no mapping"),
        ("just words\n", 1, "the file holds no mapping"),
        ("\ufeffa: 1\n", 1, "byte order mark"),
        ("a: " + "[" * 60 + "]" * 60 + "\n", 1, "nested too deeply"),
    ],
)
def test_a_trap_is_refused_with_its_line(content: str, line: int, words: str) -> None:
    text = refusal(content)
    assert f"x.yaml:{line}: " in text
    assert words in text


def test_what_has_no_line_is_refused_too() -> None:
    assert "the file is empty" in refusal("")
    assert "the file is empty" in refusal("# only a comment\n")
    assert "a control character" in refusal("a: \x07\n")
    assert "the file is too large" in refusal("a" * (MAX_BYTES + 1))


def test_another_encoding_is_refused_with_its_line() -> None:
    assert refusal("a: 1\nb: grün\n".encode("latin-1")) == (
        "x.yaml: refused, 1 finding(s); nothing was touched\n"
        "x.yaml:2: not UTF-8\n"
        "  found    a byte of another encoding\n"
        "  allowed  UTF-8"
    )


def test_a_bomb_of_aliases_is_refused_before_it_is_read() -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(8)
    )
    assert "x.yaml:1: anchors and aliases are not admitted" in refusal(bomb)


def test_too_many_values_are_refused() -> None:
    assert "nested too deeply or too long" in refusal("a: [" + "1," * MAX_NODES + "]\n")


def test_every_finding_is_listed_and_a_syntax_error_quotes_nothing() -> None:
    assert refusal("a: yes\nb: 010\n").count("x.yaml:") == 3
    assert "hunter2" not in refusal("password: 'hunter2\n")
    assert "hunter2" not in refusal("password: hunter2: x\n")


def test_a_file_that_is_not_there_or_no_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "a\x00b"):
        with pytest.raises(SpecError, match=r"no such file|cannot be read"):
            read(path)
