"""The last layer of Helm values, and what the application gets of all of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from slipway.errors import SpecError
from slipway.spec.values import ImageRef, effective_settings, image_refs, merge, overlays, values_for

if TYPE_CHECKING:
    from slipway.spec.catalog import Catalog

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
REPOSITORY = "registry.testbed.internal:5000/hive-platform/backend"


def test_followers_keep_their_image_until_their_turn_comes(catalog: Catalog) -> None:
    release, local = catalog.checked("hive-platform", "local")
    images = image_refs(release, local, {"backend": NEW, "frontend": NEW}, "1.0.0")
    keep = {name: ImageRef(REPOSITORY, OLD, "0.9.0") for name in ("worker", "beat", "frontend")}
    values = values_for(release, local, images, keep=keep, keep_settings={"process": {"debug": False}})
    assert values["backend"] == {"image": REPOSITORY, "digest": NEW, "version": "1.0.0"}
    assert values["worker"] == {"image": REPOSITORY, "digest": OLD, "version": "0.9.0"}
    assert values["frontend"]["digest"] == OLD
    assert values["followerSettings"] == {"process": {"debug": False}}
    assert values["ingress"] == {"host": "hive.testbed.internal"}
    assert values["existingSecret"] == "hive-platform-secrets"
    assert values["firstInstall"] is False
    assert values["deadManSwitch"] == {"heartbeat": {"maxAgeSeconds": 300}}
    later = values_for(release, local, images, first_install=True)
    assert later["worker"] == {"image": REPOSITORY, "digest": NEW, "version": "1.0.0"}
    assert later["firstInstall"] is True


def test_an_image_without_a_digest_is_refused(catalog: Catalog) -> None:
    release, local = catalog.checked("hive-platform", "local")
    with pytest.raises(SpecError) as error:
        values_for(release, local, image_refs(release, local, {"backend": NEW}))
    assert str(error.value) == (
        "image frontend: no digest is known for the component frontend\n"
        "  found  backend\n"
        "  do     name it, for example --digest frontend=sha256:..."
    )


def test_an_unknown_image_comes_with_the_nearest_one(catalog: Catalog) -> None:
    release, local = catalog.checked("hive-platform", "local")
    with pytest.raises(SpecError, match='write "backend"'):
        image_refs(release, local, {"bakend": NEW})


@pytest.mark.parametrize(
    "text",
    ["r.example/a:1.0.0", "r.example/a@1.0.0", "r.example/a:1@" + NEW, "r.example/a@" + NEW + "0", "a@" + NEW,
     "r.example/a@" + NEW.upper(), "r.example/$(id)@" + NEW, "https://r.example/a@" + NEW, "",
     "r.example/a@" + NEW + "\n"],
)  # fmt: skip
def test_a_tag_or_anything_else_is_no_image_reference(text: str) -> None:
    with pytest.raises(SpecError, match=r"image reference: the (repository|digest) is refused"):
        ImageRef.parse(text)


def test_an_image_reference_is_read_and_written() -> None:
    assert str(ImageRef.parse(f"{REPOSITORY}@{NEW}")) == f"{REPOSITORY}@{NEW}"


def test_layers_are_laid_as_helm_does_it() -> None:
    below = {"a": {"b": 1, "c": [1, 2]}, "d": 1}
    assert merge(below, {"a": {"c": [3], "e": {"f": 1}}, "d": None}) == {"a": {"b": 1, "c": [3], "e": {"f": 1}}}
    assert below == {"a": {"b": 1, "c": [1, 2]}, "d": 1}


def test_the_environment_has_the_last_word(catalog: Catalog) -> None:
    release, local = catalog.checked("hive-platform", "local")
    settings = effective_settings(release, local, catalog.root)
    assert settings["process"]["environment"] == "development"
    assert settings["api"]["port"] == 8000, "from the chart"
    assert re.match(r"postgresql\+psycopg://hive@postgres\.testbed\.internal", settings["database"]["database_url"])
    assert [path.name for path in overlays(release, local, catalog.root)] == ["values-local.yaml", "values-demo.yaml"]


def test_an_application_that_is_not_released_here_is_refused(catalog: Catalog) -> None:
    release, local = catalog.checked("hive-platform", "local")
    other = release.model_copy(update={"application": "clock"})
    with pytest.raises(SpecError, match="clock is not released here"):
        values_for(other, local, {})
