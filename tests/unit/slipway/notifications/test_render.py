from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slipway.names import AbortedBy, Occasion, Rule
from slipway.notifications import render
from slipway.notifications.message import Comparison, Fact, Message, ReleaseRef, aborted
from slipway.notifications.text import Unit

from testbed.sinks import dingtalk as dingtalk_rules
from testbed.sinks import slack as slack_rules
from tests.unit.slipway.notifications.samples import AT, RELEASE, bad_canary, one_of_each

NASTY = st.text(alphabet=st.one_of(st.characters(), st.sampled_from('<>&"*`[]()!#@|\\\r\n\u2028😀')), max_size=300)
LONG = st.one_of(NASTY, st.sampled_from(["😀" * 3_000, '"\\' * 3_000, "<b>&" * 3_000, "😀\n" * 3_000, "&" * 3_000]))
URL = st.one_of(NASTY, NASTY.map(lambda text: f"https://example.com/{text}"), st.just("https://x.example/" + "&" * 950))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    numbers = st.one_of(st.none(), st.floats())
    comparison = st.builds(
        Comparison, label=LONG, unit=st.sampled_from(Unit), canary=numbers, stable=numbers, limit=numbers
    )
    return aborted(
        ReleaseRef(id=draw(LONG), application=draw(LONG), version=draw(LONG), environment=draw(LONG)),
        at=AT,
        reason=draw(LONG),
        aborted_by=draw(st.sampled_from(AbortedBy)),
        rule=draw(st.one_of(st.none(), st.sampled_from(Rule))),
        stable=draw(st.one_of(st.none(), LONG)),
        comparisons=draw(st.lists(comparison, max_size=10)),
        exposure_s=draw(st.one_of(st.none(), st.floats(min_value=0))),
        facts=draw(st.dictionaries(LONG, LONG, max_size=25)),
        links=draw(st.dictionaries(LONG, URL, max_size=8)),
    )


@settings(max_examples=150, deadline=None)
@given(messages())
def test_any_message_is_one_that_dingtalk_takes(message: Message) -> None:
    payload = render.dingtalk(message)
    body = render.encode(payload)
    assert len(body) <= 20_000
    assert json.loads(body) == payload
    assert dingtalk_rules.check_payload(payload) == dingtalk_rules.OK
    assert "\n" not in payload["markdown"]["title"]
    # The only links and the only HTML are ours: foreign words bring neither.
    addresses = re.findall(r"\]\((.*?)\)", payload["markdown"]["text"])
    assert set(addresses) <= {link.url for link in message.links}
    assert "<" not in payload["markdown"]["text"]


@settings(max_examples=150, deadline=None)
@given(messages())
def test_any_message_is_one_that_slack_takes(message: Message) -> None:
    payload = render.slack(message)
    assert json.loads(render.encode(payload)) == payload
    assert slack_rules.check_payload(payload) == slack_rules.OK
    markup = [text["text"] for text in _texts(payload["blocks"]) if text["type"] == "mrkdwn"] + [payload["text"]]
    ours = {f"<{link.url.replace('&', '&amp;')}|" for link in message.links}
    assert all(found in ours for text in markup for found in re.findall(r"<[^|]*\|?", text))


@settings(max_examples=100, deadline=None)
@given(messages())
def test_any_message_is_a_mail_with_one_subject_line_and_only_our_elements(message: Message) -> None:
    mail = render.mail(message)
    assert len(mail.subject) <= 200
    assert mail.subject.isprintable()
    seen = _Elements(mail.html)
    assert seen.names <= {"html", "head", "meta", "title", "body", "div", "p", "h1", "table", "tr", "th", "td", "br",
                          "strong", "a"}  # fmt: skip
    assert seen.attributes <= {"lang", "charset", "style", "href"}
    assert set(seen.addresses) == {link.url for link in message.links}


def _texts(value: Any) -> list[dict[str, str]]:
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    if isinstance(value, dict):
        return [value] if isinstance(value.get("text"), str) else [t for one in value.values() for t in _texts(one)]
    return []


class _Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value or "" for name, value in attrs if name == "href"]


def test_dingtalk_shows_the_news_the_numbers_and_the_next_step_in_this_order() -> None:
    payload = render.dingtalk(bad_canary())
    assert payload["markdown"]["title"] == ("STOPPED: hive-platform 1.0.1 was stopped in production: too many errors")
    assert payload["markdown"]["text"].split("\n\n")[:5] == [
        "### ⛔ hive-platform 1.0.1 was stopped in production: too many errors",
        "> 7.9 % of 1,204 canary requests failed; the limit is 5.0 %.  \n> The stable version failed 0.04 %.",
        "**Error rate**: canary **7.9 %**, stable 0.04 %, limit 5.0 %",
        "**P95 latency**: canary **182 ms**, stable no data, limit 226 ms",
        "**What happens next**  \nUsers are sent to 1.0.0 again. slipway now finishes the rollback and proves it; a "
        "second message says how it ended. If none has come after 5 minutes, follow the canary release runbook.",
    ]
    assert payload["markdown"]["text"].endswith(
        "[Airflow run](https://airflow.example.com/runs/7?a=1&b=2) · [Dashboard](https://grafana.example.com/d/x)"
    )


def test_everybody_is_called_for_bad_news_only_and_only_when_asked() -> None:
    called = {message.occasion: render.dingtalk(message, at_all_on_failure=True).get("at") for message in one_of_each()}
    bad = {Occasion.ABORTED, Occasion.ROLLBACK_FAILED}
    assert called == {occasion: {"isAtAll": True} if occasion in bad else None for occasion in Occasion}
    assert all("at" not in render.dingtalk(message) for message in one_of_each())


def test_what_does_not_fit_is_left_out_from_the_end_and_said() -> None:
    # The same letters are long for the one and short for the other: bytes here, escaped characters there.
    for letter, draw in (("漢", render.dingtalk), ("&", render.slack)):
        facts = tuple(Fact(label=f"Fact {number}", value=letter * 300) for number in range(20))
        text = json.dumps(draw(bad_canary().model_copy(update={"facts": facts, "reason": letter * 1_500})))
        assert "Fact 0" in text
        assert "Fact 19" not in text
        assert render.LEFT_OUT in text
        assert "https://grafana.example.com/d/x" in text


def test_a_field_of_slack_stays_within_its_own_limit() -> None:
    fact = Fact(label="&" * 100, value="&" * 300)
    payload = render.slack(bad_canary().model_copy(update={"facts": (fact,)}))
    assert slack_rules.check_payload(payload) == slack_rules.OK


def test_slack_escapes_what_would_call_everybody() -> None:
    message = aborted(RELEASE, at=AT, reason="<!channel> a & b", aborted_by=AbortedBy.PERSON)
    payload = render.slack(message)
    assert payload["blocks"][1]["text"]["text"] == ">&lt;!channel&gt; a &amp; b"
    assert "&lt;!channel&gt;" in payload["text"]


def test_slack_shows_the_numbers_in_columns() -> None:
    assert render.slack(bad_canary())["blocks"][2]["text"]["text"] == (
        "```             Canary   Stable   Limit\n"
        "Error rate    7.9 %   0.04 %   5.0 %\n"
        "P95 latency  182 ms  no data  226 ms```"
    )


def test_the_subject_says_it_all() -> None:
    assert [render.mail(message).subject for message in one_of_each()] == [
        "[slipway] started: hive-platform 1.0.1 is on its way to production",
        "[slipway] approval wanted: hive-platform 1.0.1 waits for an approval before production",
        "[slipway] promoted: hive-platform 1.0.1 has 100 % of production",
        "[slipway] STOPPED: hive-platform 1.0.1 was stopped in production: too many errors",
        "[slipway] rolled back: hive-platform is back on 1.0.0 in production, proved",
        "[slipway] ROLLBACK FAILED: ACT NOW: hive-platform in production is not proved to be back on 1.0.0",
    ]


@pytest.mark.parametrize("message", one_of_each(), ids=lambda message: str(message.occasion))
def test_every_channel_names_the_release_and_what_happens_next(message: Message) -> None:
    mail = render.mail(message)
    texts = [
        render.dingtalk(message)["markdown"]["text"],
        "\n".join(text["text"] for text in _texts(render.slack(message)["blocks"])),
        mail.text,
        mail.html,
    ]
    assert all("hive-platform-1.0.1-r7" in text and "What happens next" in text for text in texts)
