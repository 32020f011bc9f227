from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from testbed.sinks import dingtalk, slack
from testbed.sinks.app import PAGE, create_app
from testbed.sinks.faults import Fault
from testbed.sinks.message import Channel

if TYPE_CHECKING:
    from .conftest import World

HOOK = "/services/T0/B0/testbed"
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105 - of a robot that exists in this file only
SECRET, WRONG = "SECtestbed", "SECwrong"
TEXT = {"msgtype": "text", "text": {"content": "rolled back"}}


class Client:
    """Calls the app as a client would, without a socket."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = create_app(
            world.reception,
            dingtalk.Robots({TOKEN: dingtalk.Robot(SECRET)}),
            slack.Webhooks(["T0/B0/testbed"], ["#releases", "#alerts"]),
        )

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://sinks") as client:
                return await client.request(method, path, **options)

        return asyncio.run(call())

    def ding(self, payload: object = TEXT, secret: str = SECRET) -> Any:
        moment = round(self.world.now_s * 1000)
        query = {"access_token": TOKEN, "timestamp": str(moment), "sign": dingtalk.sign(secret, moment)}
        response = self("POST", "/robot/send", params=query, json=payload)
        assert response.status_code == 200
        return response.json()


@pytest.fixture
def client(world: World) -> Client:
    return Client(world)


def test_dingtalk_answers_200_with_an_errcode_and_keeps_both_kinds(client: Client) -> None:
    assert client.ding() == {"errcode": 0, "errmsg": "ok"}
    assert client.ding(secret=WRONG) == {"errcode": 310000, "errmsg": "sign not match"}
    assert client("POST", "/robot/send").json()["errcode"] == 40035
    assert client("GET", "/robot/send").json()["errcode"] == 43002
    rows = client("GET", "/messages").json()
    assert [(row["accepted"], row["reason"]) for row in rows] == [
        (True, None),
        (False, "310000 sign not match"),
        (False, "40035 缺少参数 access_token"),
    ]
    assert rows[0]["raw"] == TEXT
    assert (rows[0]["title"], rows[0]["to"], rows[0]["at"]) == ("rolled back", "robot 0123…", 1_700_000_000.0)


def test_dingtalk_throttles_by_the_clock_it_was_given(client: Client) -> None:
    assert {client.ding()["errcode"] for _ in range(20)} == {0}
    assert client.ding() == {"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"}
    client.world.now_s += 599.9
    assert client.ding()["errcode"] == 130101
    client.world.now_s += 0.2
    assert client.ding()["errcode"] == 0


def test_slack_answers_in_plain_text(client: Client) -> None:
    response = client("POST", HOOK, json={"text": "rolled back", "channel": "#alerts"})
    assert (response.status_code, response.text) == (200, "ok")
    assert response.headers["content-type"].startswith("text/plain")
    response = client("POST", "/services/T0/B0/wrong", json={"text": "a"})
    assert (response.status_code, response.text) == (403, "invalid_token")
    response = client("POST", HOOK, content=b"\xff{")
    assert (response.status_code, response.text) == (400, "invalid_payload")
    rows = client("GET", "/messages?channel=slack").json()
    assert [row["reason"] for row in rows] == [None, "403 invalid_token", "400 invalid_payload"]
    assert [row["to"] for row in rows] == ["#alerts", "#releases", "#releases"]
    assert rows[2]["raw"] == "�{"


def test_slack_tells_when_to_come_back(client: Client) -> None:
    answers = [client("POST", HOOK, json={"text": "a"}) for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    assert answers[5].headers["retry-after"] == "1"
    assert "retry-after" not in answers[0].headers
    client.world.now_s += 1
    assert client("POST", HOOK, json={"text": "a"}).status_code == 200


def test_no_token_secret_or_signature_is_logged_or_answered(client: Client) -> None:
    client.ding()
    client.ding(secret=WRONG)
    client("POST", HOOK, json={"text": "a"})
    client("POST", "/services/T0/B0/guess0123456789", json={"text": "a"})
    shown = client("GET", "/messages").text + client("GET", "/health").text + "\n".join(client.world.lines)
    sign = dingtalk.sign(SECRET, round(client.world.now_s * 1000))
    for secret in (TOKEN, SECRET, WRONG, sign, sign[:12], "testbed", "guess0123456789"):
        assert secret not in shown


def test_one_line_of_log_a_message_whatever_the_title(client: Client) -> None:
    client.ding({"msgtype": "markdown", "markdown": {"title": "a\n\x1b[31m\u2028b", "text": "c"}})
    client.ding({"msgtype": "markdown"})
    first, second = client.world.lines
    assert first.startswith('dingtalk accepted "a" ')
    assert second.startswith("dingtalk refused: 400402 param markdown is missing or has a wrong format ")
    assert all(line.isprintable() for line in client.world.lines)


def test_messages_are_found_and_forgotten(client: Client) -> None:
    client.ding()
    client("POST", HOOK, json={"text": "promoted"})
    client("POST", HOOK, json={})
    assert [row["id"] for row in client("GET", "/messages?contains=ROLLED").json()] == [1]
    assert [row["id"] for row in client("GET", "/messages?after=1&accepted=true").json()] == [2]
    assert [row["id"] for row in client("GET", "/messages?newest=1").json()] == [3]
    assert client("GET", "/messages?channel=pigeon").status_code == 422
    assert client("GET", "/messages/2").json()["title"] == "promoted"
    assert client("GET", "/messages/99").status_code == 404
    health = client("GET", "/health").json()
    assert health == {
        "status": "ok",
        "oldest_id": 1,
        "next_id": 4,
        "counts": {"dingtalk": 1, "slack": 2, "mail": 0},
        "faults": {},
    }
    assert client("DELETE", "/messages").json() == {"cleared": 3, "next_id": 4}
    assert client("GET", "/messages").json() == []


def test_a_body_without_end_is_refused(client: Client) -> None:
    assert client("POST", HOOK, content=b"x" * 1_000_001).status_code == 413


def test_faults_of_dingtalk(client: Client) -> None:
    assert client("PUT", "/faults/dingtalk", json={"errcode": -1, "errmsg": "system busy", "times": 1}).json() == {
        "dingtalk": {"status": None, "errcode": -1, "errmsg": "system busy", "delay_s": 0, "times": 1}
    }
    assert client.ding() == {"errcode": -1, "errmsg": "system busy"}
    assert client.ding()["errcode"] == 0
    client("PUT", "/faults/dingtalk", json={"status": 502})
    assert client("POST", "/robot/send").status_code == 502
    assert client("GET", "/health").json()["faults"] == {"dingtalk": {"status": 502}}
    assert client("DELETE", "/faults").json() == {}
    assert client.ding()["errcode"] == 0
    reasons = [row["reason"] for row in client("GET", "/messages").json()]
    assert reasons == ["fault: errcode -1 system busy", None, "fault: status 502 fault on purpose", None]


def test_faults_of_slack(client: Client) -> None:
    client("PUT", "/faults/slack", json={"status": 429, "errmsg": "rate_limited", "times": 2})
    response = client("POST", HOOK, json={"text": "a"})
    assert (response.status_code, response.text, response.headers["retry-after"]) == (
        429,
        "rate_limited",
        "1",
    )
    client("PUT", "/faults/slack", json={"delay_s": 30})
    assert client("POST", HOOK, json={"text": "a"}).text == "ok"
    assert client.world.slept_s == [30]
    assert client("GET", "/faults").json()["slack"]["delay_s"] == 30


@pytest.mark.parametrize(
    ("channel", "fault"),
    [
        ("slack", {}),
        ("slack", {"errcode": 1}),
        ("mail", {"errcode": 1}),
        ("dingtalk", {"errcode": 1, "status": 500}),
        ("slack", {"status": 200}),
        ("slack", {"status": 500, "delay": 1}),
        ("mail", {"status": 451, "errmsg": "two\r\nlines"}),
        ("slack", {"delay_s": -1}),
        ("slack", {"status": 500, "times": 0}),
        ("pigeon", {"status": 500}),
    ],
)
def test_a_fault_that_means_nothing_is_refused(client: Client, channel: str, fault: dict[str, Any]) -> None:
    assert client("PUT", f"/faults/{channel}", json=fault).status_code == 422
    assert client("GET", "/faults").json() == {}


def test_a_fault_counts_down(world: World) -> None:
    faults = world.reception.faults
    faults.put(Channel.SLACK, Fault(status=500, times=2))
    assert [faults.take(Channel.SLACK) is not None for _ in range(3)] == [True, True, False]


def test_the_page_needs_nothing_else_and_runs_only_its_own_script(client: Client) -> None:
    response = client("GET", "/")
    assert response.headers["content-type"].startswith("text/html")
    script = PAGE.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = response.headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy
    assert "http" not in response.text.replace("HTTP", "")
    # What a message says cannot become markup: the page writes none but into the sandboxed frame.
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in response.text
    assert 'setAttribute("sandbox", "")' in response.text


def test_what_is_kept_can_be_answered_as_json(client: Client) -> None:
    odd = ['{"text": "\\u0000\\u2028"}', '{"text": "a", "x": 1e999}', '{"text": "a", "x": ' + "9" * 400 + "}"]
    for body in odd:
        client("POST", HOOK, content=body)
    response = client("GET", "/messages")
    assert response.status_code == 200
    assert len(json.loads(response.text)) == len(odd)
