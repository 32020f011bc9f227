from __future__ import annotations

import configparser
import shlex
from typing import TYPE_CHECKING

from runtime import environment, supervision
from runtime.parts import NAMES
from tests.unit.runtime.test_environment import KEYS

if TYPE_CHECKING:
    from runtime.settings import Settings


def test_each_part_is_the_first_process_of_namespaces_of_its_own(chosen: Settings) -> None:
    read = configparser.RawConfigParser()
    read.read_string(supervision.configuration(chosen.home))
    assert {name.removeprefix("program:") for name in read.sections() if name.startswith("program:")} == set(NAMES)
    for name in NAMES:
        words = shlex.split(read[f"program:{name}"]["command"])
        assert words[0] == "unshare"
        assert {"--pid", "--kill-child"} <= set(words[: words.index("--")])
        assert words[words.index("--") + 2 : words.index("--") + 5] == ["-m", "airflow", name]
        assert read[f"program:{name}"]["autorestart"] == "true"


def test_no_secret_is_written_there(chosen: Settings) -> None:
    text = supervision.configuration(chosen.home)
    secret = [value for name, value in environment.variables(chosen, KEYS).items() if "CONN" in name or "KEY" in name]
    assert secret
    assert not [value for value in secret if value in text]
