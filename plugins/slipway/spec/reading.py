"""Read YAML strictly: what YAML 1.1 would guess, repeat, share or hide is refused with its line.

A file of releases is read by people under pressure, so each value has one spelling: `yes` is no truth, `010` is no
number, a key stands once, and nothing refers to anything else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from slipway.spec.findings import Finding, Step, dotted, refusal, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

MAX_BYTES = 256 * 1024
MAX_DEPTH = 24
MAX_NODES = 20_000
_MAX_KEY = 200
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where it is there: ten times as fast, and DAG files are parsed all the time."""
_STR, _INT, _FLOAT, _BOOL, _NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}([eE][-+]?[0-9]{1,2})?")
_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Document:
    """A file's mapping, and the line of everything in it.

    :param file: as it shall be named in findings.
    """

    file: str
    value: dict[str, Any]
    lines: Mapping[tuple[Step, ...], int] = field(default_factory=dict)

    def line(self, path: Sequence[Step]) -> int | None:
        """Return the line of a path, or of what is nearest above it."""
        for length in range(len(path), -1, -1):
            if (line := self.lines.get(tuple(path[:length]))) is not None:
                return line
        return None

    def finding(
        self, path: Sequence[Step], what: str, *, found: str | None = None, allowed: str | None = None,
        nearest: str | None = None,
    ) -> Finding:  # fmt: skip
        """Return a finding about a path of this document."""
        return Finding(self.file, dotted(path), self.line(path), what, found, allowed, nearest)


class _RefusedError(Exception):
    """Something makes it pointless to read on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.what)
        self.finding = finding


def read(path: Path, name: str | None = None) -> Document:
    """Read a file.

    :param name: how findings name it; its path when left out.
    :raises SpecError: with every finding.
    """
    file = name or str(path)
    return parse(_bytes(path, file), file)


def parse(content: bytes, file: str) -> Document:
    """Read the content of a file.

    :param file: how findings name it.
    :raises SpecError: with every finding.
    """
    try:
        text = _text(content, file)
        root = _compose(text, file)
    except _RefusedError as refused:
        raise refusal(file, [refused.finding]) from None
    reader = _Reader(file)
    value = reader.value(root, ())
    if not isinstance(value, dict):
        reader.findings.append(Finding(file, "", 1, "the file holds no mapping", shown((), value), "KEY: VALUE lines"))
    if reader.findings:
        raise refusal(file, reader.findings) from None
    return Document(file, value, reader.lines)


def _bytes(path: Path, file: str) -> bytes:
    try:
        with path.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = f"it cannot be read ({type(error).__name__})"
        if isinstance(error, FileNotFoundError):
            reason = "there is no such file"
        raise refusal(file, [Finding(file, "", None, reason, allowed="a YAML file")]) from None


def _text(content: bytes, file: str) -> str:
    if len(content) > MAX_BYTES:
        raise _RefusedError(Finding(file, "", None, "the file is too large", allowed=f"{MAX_BYTES // 1024} KiB"))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise _RefusedError(Finding(file, "", line, "not UTF-8", "a byte of another encoding", "UTF-8")) from None
    for number, line_text in enumerate(text.split("\n"), 1):
        if re.match(r"\s*\t", line_text):
            raise _RefusedError(Finding(file, "", number, "a tab in the indentation", "a tab", "spaces"))
    if text.startswith("\ufeff"):
        raise _RefusedError(Finding(file, "", 1, "the file begins with a byte order mark", allowed="UTF-8 without it"))
    return text


def _compose(text: str, file: str) -> yaml.Node:
    """Return the tree of nodes, after a first pass that refuses what could make the second one explode."""
    try:
        _check_events(yaml.parse(text, Loader=_LOADER), file)
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        raise _RefusedError(_syntax(error, file)) from None
    except (ValueError, OverflowError, RecursionError):  # an escape beyond Unicode, for example
        raise _RefusedError(Finding(file, "", None, "this is no YAML", allowed="plain YAML")) from None
    if root is None:
        raise _RefusedError(Finding(file, "", 1, "the file is empty", allowed="KEY: VALUE lines"))
    return root


def _check_events(events: Iterator[yaml.Event], file: str) -> None:
    depth = nodes = documents = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else None
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
        if documents > 1:
            raise _RefusedError(Finding(file, "", line, "a second document", "---", "one document a file"))
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            what = "anchors and aliases are not admitted"
            raise _RefusedError(Finding(file, "", line, what, allowed="the value itself, written out"))
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            nodes += 1
            if event.tag not in (None, "!"):
                what = "explicit tags are not admitted"
                raise _RefusedError(Finding(file, "", line, what, allowed="plain and quoted values"))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            limit = f"{MAX_DEPTH} levels and {MAX_NODES} values"
            raise _RefusedError(Finding(file, "", line, "the file is nested too deeply or too long", allowed=limit))


def _syntax(error: yaml.YAMLError, file: str) -> Finding:
    """Word a syntax error. PyYAML's own text quotes the file, and so perhaps a secret: only the place is taken."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is not None:
        what = f"the YAML cannot be read from column {mark.column + 1} on"
        return Finding(file, "", mark.line + 1, what, allowed="KEY: VALUE; quotes around a value with : # { [ or &")
    if isinstance(error, yaml.reader.ReaderError):
        return Finding(file, "", None, "a control character", allowed="printable characters")
    return Finding(file, "", None, "this is no YAML", allowed="plain YAML")


class _Reader:
    """Turns nodes into values; collects findings and lines as it goes."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.findings: list[Finding] = []
        self.lines: dict[tuple[Step, ...], int] = {}

    def value(self, node: yaml.Node, path: tuple[Step, ...]) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: tuple[Step, ...]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path)
            if key is None:
                continue
            here = (*path, key)
            if key in result:
                self._refuse(here, line, "the key stands twice", f"first in line {self.lines[here]}", "one of the two")
                continue
            self.lines[here] = line
            result[key] = self.value(value_node, here)
        return result

    def _key(self, node: yaml.Node, path: tuple[Step, ...]) -> str | None:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            self._refuse(path, line, "a key is a mapping or a list", None, "a word")
        elif node.tag != _STR:
            self._refuse(path, line, "a key is not a word", shown(path, node.value), "a word, or quotes around it")
        elif not node.value or len(node.value) > _MAX_KEY:
            self._refuse(path, line, "a key is empty or too long", None, f"1 to {_MAX_KEY} characters")
        else:
            return str(node.value)
        return None

    def _scalar(self, node: yaml.Node, path: tuple[Step, ...]) -> Any:
        text = str(node.value)
        if node.tag == _STR:
            return text
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL and text in _WORDS:
            return _WORDS[text]
        if node.tag == _INT and _INTEGER.fullmatch(text):
            return int(text)
        if node.tag == _FLOAT and _NUMBER.fullmatch(text):
            return float(text)
        kind = node.tag.rpartition(":")[2]
        what, allowed = _TRAPS.get(kind, ("YAML would guess what this is", "quotes around it"))
        self._refuse(path, node.start_mark.line + 1, what, shown(path, text), allowed)
        return None

    def _refuse(self, path: Sequence[Step], line: int, what: str, found: str | None, allowed: str) -> None:
        self.findings.append(Finding(self.file, dotted(path), line, what, found, allowed))


_TRAPS = {
    "bool": ("YAML would read a truth value into this word", "true or false, or quotes around the word"),
    "int": ("YAML would read another number into this one", "decimal digits without a leading 0, or quotes around it"),
    "float": ("not a number that can be told apart", "a decimal number such as 0.05, or quotes around it"),
    "timestamp": ("YAML would make a date of this", "quotes around it"),
}
