"""What is served keeps its own rules: nothing from elsewhere, nothing inline, and each file that is named is there."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import pytest

FRONTEND = Path(__file__).parents[4] / "include" / "app" / "frontend"
SITE = FRONTEND / "site"
FILES = sorted(path for path in SITE.rglob("*") if path.is_file())
NAMESPACE = "http://www.w3.org/2000/svg"
INDEX = (SITE / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_another_host(file: Path) -> None:
    text = file.read_text(encoding="utf-8").replace(NAMESPACE, "")
    # The placeholder of the form and its hint name kinds of trees; nobody loads them.
    assert re.findall(r"(?:https?:)?//(?=[\w.-]+\.\w+/)[^\s\"']+", re.sub(r"webhdfs://\S+", "", text)) == []


@pytest.mark.parametrize("page", ["index.html", "404.html"])
def test_a_page_has_no_inline_script_or_style(page: str) -> None:
    text = (SITE / page).read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*\ssrc=)[^>]*>|<style|\sstyle=|\son\w+=|javascript:", text) == []


def test_no_module_makes_markup_out_of_text() -> None:
    for file in SITE.glob("assets/*.js"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text), (
            file
        )


def test_each_asset_is_named_and_each_name_is_there() -> None:
    named = set(re.findall(r'(?:href|src)="/assets/([^"]+)"', INDEX))
    assert named == {path.name for path in SITE.glob("assets/*")}


def test_each_drawing_that_is_used_is_in_the_sprite() -> None:
    drawn = set(re.findall(r'<symbol id="icon-(\w+)"', INDEX))
    view = (SITE / "assets" / "view.js").read_text(encoding="utf-8")
    states = re.search(r"const STATES = \{(.*?)\};", view, re.DOTALL)
    assert states
    used = set(re.findall(r"icon\('(\w+)'\)|empty\('(\w+)'", view)) | {("cross", "")}
    names = {name for pair in used for name in pair if name} | set(re.findall(r", '(\w+)'\]", states[1]))
    assert names <= drawn, names - drawn


def test_the_images_have_the_same_labels() -> None:
    def labels(part: str) -> list[str]:
        text = (FRONTEND.parent / part / "Dockerfile.prod").read_text(encoding="utf-8")
        return sorted(re.findall(r"(org\.opencontainers\.image\.[\w.]+)=", text))

    assert labels("frontend") == labels("backend")
    assert len(labels("frontend")) == 7


def test_the_states_of_the_page_are_those_of_the_backend() -> None:
    file = FRONTEND.parent / "backend" / "app" / "names.py"
    spec = importlib.util.spec_from_file_location("backend_names", file)
    assert spec
    assert spec.loader
    names = importlib.util.module_from_spec(spec)
    sys.modules["backend_names"] = names
    try:
        spec.loader.exec_module(names)
    finally:
        del sys.modules["backend_names"]
    view = (SITE / "assets" / "view.js").read_text(encoding="utf-8")
    model = (SITE / "assets" / "model.js").read_text(encoding="utf-8")
    shown = re.findall(r"^  (\w+): \['\w+', '\w+'\],$", view, re.MULTILINE)
    open_states = re.search(r"const OPEN = new Set\(\[(.*)\]\)", model)
    assert open_states
    assert shown == [status.value for status in names.TaskStatus]
    assert set(re.findall(r"\w+", open_states[1])) == {status.value for status in names.OPEN_STATUSES}
