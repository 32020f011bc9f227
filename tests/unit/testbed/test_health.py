from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from testbed import health, pki
from testbed.catalog import CommandHealth, Component, Health, HttpHealth, ObjectHealth
from testbed.health import Doctor
from testbed.home import Home
from testbed.network import Network
from testbed.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NETWORK = Network.plan(1, "10.200.0.0/16")
URL = "http://10.200.0.1:5000/v2/"
NODE = "/api/v1/nodes/node-1"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(cache=tmp_path / "cache", state=tmp_path / "state")
    authority = pki.Authority(made.pki)
    authority.ensure()
    authority.issue(made.pki / "admin", "admin", groups=["system:masters"])
    return made


def examine(
    home: Home, question: Health | None, answer: Callable[[httpx.Request], httpx.Response] | None = None
) -> tuple[str, list[bool]]:
    """Ask a health question against a network that gives one answer.

    :return: the diagnosis, and for each request whether the certificate would have been checked.
    """
    asked: list[bool] = []

    async def run() -> str:
        doctor = Doctor(home, NETWORK)
        for verify, client in doctor._clients.items():
            await client.aclose()

            def respond(request: httpx.Request, verify: bool = verify) -> httpx.Response:
                asked.append(verify)
                assert answer
                return answer(request)

            doctor._clients[verify] = httpx.AsyncClient(transport=httpx.MockTransport(respond))
        component = Component(name="registry", about="images", health=question)
        try:
            return await doctor.examine(Place(home, NETWORK, component, NETWORK.nodes[0]))
        finally:
            for client in doctor._clients.values():
                await client.aclose()

    return asyncio.run(run()), asked


# ------------------------------------------------------------------ over http


@pytest.mark.parametrize("verify", [True, False])
def test_is_healthy_when_a_get_answers_200(home: Home, verify: bool) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, str(request.url)) == ("GET", URL)
        return httpx.Response(200)

    question = HttpHealth(http="http://{{ network.control }}:5000/v2/", verify=verify)
    assert examine(home, question, answer) == ("", [verify])


@pytest.mark.parametrize("code", [204, 301, 401, 500, 503])
def test_says_which_other_code_came(home: Home, code: int) -> None:
    diagnosis, _ = examine(home, HttpHealth(http=URL), lambda _: httpx.Response(code))
    assert diagnosis == f"{URL}: HTTP {code}"


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_says_why_there_was_no_answer(home: Home, error: type[httpx.TransportError]) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error("of which nobody needs to read more")

    diagnosis, _ = examine(home, HttpHealth(http=URL), answer)
    assert diagnosis == f"{URL}: {error.__name__}"


def test_says_so_when_nobody_listens(home: Home) -> None:
    async def run() -> str:
        doctor = Doctor(home, NETWORK)
        # Port 1 of the loopback: a real connection that a real kernel refuses.
        question = HttpHealth(http="http://127.0.0.1:1/")
        try:
            return await doctor.examine(Place(home, NETWORK, Component(name="a", about="b", health=question)))
        finally:
            for client in doctor._clients.values():
                await client.aclose()

    assert asyncio.run(run()) == "http://127.0.0.1:1/: ConnectError"


# ------------------------------------------------------------------ with a command


@pytest.mark.parametrize(
    ("script", "diagnosis"),
    [
        ("exit 0", ""),
        ("echo warning >&2; exit 0", ""),
        ("exit 3", "/bin/sh: 3"),
        ("echo first; echo 'no response' >&2; exit 2", "/bin/sh: no response"),
    ],
    ids=["well", "well with words", "silent", "last line"],
)
def test_believes_the_exit_code_of_a_command(home: Home, script: str, diagnosis: str) -> None:
    assert examine(home, CommandHealth(run=("/bin/sh", "-c", script))) == (diagnosis, [])


def test_says_so_when_the_program_is_missing(home: Home) -> None:
    assert examine(home, CommandHealth(run=("no-such-program",))) == ("no-such-program: No such file or directory", [])


def test_finds_our_own_programs_first(home: Home) -> None:
    home.bin.mkdir(parents=True)
    program = home.bin / "sh"
    program.write_text("#!/bin/sh\necho ours\nexit 1\n")
    program.chmod(0o755)
    assert examine(home, CommandHealth(run=("sh",))) == ("sh: ours", [])


def test_fills_the_texts_of_a_command(home: Home) -> None:
    question = CommandHealth(run=("/bin/sh", "-c", "echo {{ node.name }} {{ network.control }}; exit 1"))
    assert examine(home, question) == ("/bin/sh: node-1 10.200.0.1", [])


def test_ends_a_command_that_does_not_answer(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PROBE_TIMEOUT_S", 0.2)
    pid = tmp_path / "pid"
    question = CommandHealth(run=("/bin/sh", "-c", f"echo $$ > {pid}; exec sleep 60"))

    async def run() -> str:
        doctor = Doctor(home, NETWORK)
        diagnosis = await doctor.examine(Place(home, NETWORK, Component(name="a", about="b", health=question)))
        for client in doctor._clients.values():
            await client.aclose()
        async with asyncio.timeout(5):
            while is_alive(int(pid.read_text())):  # noqa: ASYNC110 - of a process that is no child of ours
                await asyncio.sleep(0.005)
        return diagnosis

    assert asyncio.run(run()) == "/bin/sh: no answer within 0.2 s"


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - /proc
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ------------------------------------------------------------------ with an object of the cluster


def node(*conditions: dict[str, Any]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == f"https://10.200.0.1:6443{NODE}"
        return httpx.Response(200, json={"kind": "Node", "status": {"conditions": list(conditions)}})

    return answer


@pytest.mark.parametrize(
    ("answer", "diagnosis"),
    [
        (node({"type": "Ready", "status": "True", "message": "kubelet is posting ready status"}), ""),
        (
            node(
                {"type": "DiskPressure", "status": "True", "message": "disk is full"},
                {"type": "Ready", "status": "False", "message": "cni plugin not initialized"},
            ),
            "cni plugin not initialized",
        ),
        (
            node({"type": "Ready", "status": "Unknown", "message": "Kubelet stopped posting node status."}),
            "Kubelet stopped posting node status.",
        ),
        (node({"type": "Ready", "status": "False", "reason": "KubeletNotReady"}), "Ready is False"),
        (node({"type": "DiskPressure", "status": "False", "message": "enough"}), "no Ready condition yet"),
        (lambda _: httpx.Response(200, json={"kind": "Node"}), "no Ready condition yet"),
        (lambda _: httpx.Response(404, json={"kind": "Status"}), "not in the cluster yet"),
    ],
    ids=["ready", "not ready", "unknown", "without a message", "no condition", "no status", "missing"],
)
def test_believes_the_ready_condition_of_an_object(
    home: Home, answer: Callable[[httpx.Request], httpx.Response], diagnosis: str
) -> None:
    question = ObjectHealth(object="/api/v1/nodes/{{ node.name }}")
    assert examine(home, question, answer) == (diagnosis, [True])


def test_leaves_an_api_server_in_trouble_to_the_caller(home: Home) -> None:
    with pytest.raises(httpx.HTTPStatusError):
        examine(home, ObjectHealth(object=NODE), lambda _: httpx.Response(500))


def test_knows_when_there_is_nothing_to_ask(home: Home) -> None:
    assert examine(home, None) == ("no health question in the table", [])
