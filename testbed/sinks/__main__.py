"""``python -m testbed.sinks``: the chat and the mail server in one process, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvicorn
from rich.console import Console

from testbed.errors import StartError, TestbedError, UsageError
from testbed.sinks import dingtalk, mail, slack
from testbed.sinks.app import create_app
from testbed.sinks.reception import Reception
from testbed.sinks.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GRACE_S = 2
"""Requests under way may take so long after SIGTERM; one that a fault delays would take minutes."""

HELP = """
Stand in for DingTalk, Slack and a mail server, and keep what arrives.

The rules are the real ones: signatures, required fields, lengths, rates. What a real server
would refuse is refused here with the same answer, and kept with the reason.

\b
  http://HOST:CHAT/                         a page for people
  http://HOST:CHAT/robot/send?access_token=testbed&timestamp=MS&sign=S
                                            DingTalk; the secret is SECtestbed
  http://HOST:CHAT/services/T0/B0/testbed   Slack, channels #releases and #alerts
  HOST:SMTP                                 mail, to anybody, without login

\b
What arrived, oldest first; ids grow for ever, so 'after' finds what is new:
  curl 'http://HOST:CHAT/messages?channel=slack&contains=rolled+back&after=41'
  curl -X DELETE http://HOST:CHAT/messages

\b
Faults, for tests of the sender:
  curl -X PUT -d '{"status": 500, "times": 2}' -H 'content-type: application/json' http://HOST:CHAT/faults/slack
  curl -X PUT -d '{"errcode": 130101}' -H 'content-type: application/json' http://HOST:CHAT/faults/dingtalk
  curl -X PUT -d '{"delay_s": 30}' -H 'content-type: application/json' http://HOST:CHAT/faults/mail
  curl -X DELETE http://HOST:CHAT/faults
"""


class _Server(uvicorn.Server):
    """Leaves the signals to us: uvicorn's own handling ends the process before the mail server is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def parse_robots(robots: Sequence[str], keywords: Sequence[str]) -> dict[str, dingtalk.Robot]:
    """Read the options: robots as TOKEN=SECRET, keywords as TOKEN=WORD.

    :raises UsageError: no ``=``, no token, or a keyword for a robot that is not there.
    """
    secrets = dict(_pair(option, "--robot TOKEN=SECRET") for option in robots)
    words: dict[str, list[str]] = {token: [] for token in secrets}
    for option in keywords:
        token, word = _pair(option, "--keyword TOKEN=WORD")
        if token not in words or not word:
            raise UsageError("A keyword needs a word, and a robot that is there.", do=f"add --robot {token}=SECRET")
        words[token].append(word)
    return {token: dingtalk.Robot(secret, tuple(words[token])) for token, secret in secrets.items()}


def _pair(option: str, form: str) -> tuple[str, str]:
    left, equals, right = option.partition("=")
    if not left or not equals:
        # Never what was typed: it may be a secret.
        raise UsageError("An option of the robots cannot be read.", do=f"write {form}")
    return left, right


def parse_webhooks(webhooks: Sequence[str]) -> list[str]:
    """Check the webhooks, each TEAM/SERVICE/TOKEN.

    :raises UsageError: one has not three parts.
    """
    if not all(len(webhook.split("/")) == 3 and all(webhook.split("/")) for webhook in webhooks):
        raise UsageError("A Slack webhook cannot be read.", do="write --webhook TEAM/SERVICE/TOKEN")
    return list(webhooks)


async def serve(
    reception: Reception,
    robots: dingtalk.Robots,
    webhooks: slack.Webhooks,
    *,
    host: str,
    chat_port: int,
    smtp_port: int,
) -> None:
    """Serve chat and mail until SIGTERM or SIGINT.

    :raises OSError: an address cannot be had.
    """
    config = uvicorn.Config(
        create_app(reception, robots, webhooks),
        # An access log would hold tokens and signatures; reception writes our own.
        access_log=False,
        log_level="warning",
        lifespan="off",
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with closing(socket.create_server((host, chat_port), backlog=128)) as chat:
        async with mail.serve(reception, host, smtp_port) as mail_port:
            reception.log(f"ready: chat http://{host}:{chat.getsockname()[1]}/ mail {host}:{mail_port}")
            await server.serve([chat])


def main(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    chat_port: Annotated[int, typer.Option(help="DingTalk, Slack, the API and the page; 0 takes a free one.")] = 8080,
    smtp_port: Annotated[int, typer.Option(help="The mail server; 0 takes a free one.")] = 1025,
    state: Annotated[Path, typer.Option(help="The folder that keeps the messages over a restart.")] = Path("sinks"),
    robot: Annotated[
        list[str] | None,
        typer.Option(help="A DingTalk robot as TOKEN=SECRET; an empty secret asks for no signature. Repeatable."),
    ] = None,
    keyword: Annotated[
        list[str] | None,
        typer.Option(help="A keyword of a robot as TOKEN=WORD; a message must hold one of them. Repeatable."),
    ] = None,
    webhook: Annotated[
        list[str] | None, typer.Option(help="A Slack webhook as TEAM/SERVICE/TOKEN. Repeatable.")
    ] = None,
    channel: Annotated[
        list[str] | None,
        typer.Option(help="A Slack channel that exists; the first gets what names none. Repeatable."),
    ] = None,
) -> None:
    """Read the options and serve."""
    try:
        robots = parse_robots(robot or ["testbed=SECtestbed"], keyword or [])
        hooks = slack.Webhooks(parse_webhooks(webhook or ["T0/B0/testbed"]), channel or ["#releases", "#alerts"])
        try:
            with closing(Store(state)) as store:
                asyncio.run(
                    serve(
                        Reception(store),
                        dingtalk.Robots(robots),
                        hooks,
                        host=host,
                        chat_port=chat_port,
                        smtp_port=smtp_port,
                    )
                )
        except OSError as error:
            raise StartError("The sinks cannot serve.", found=str(error), do="see --help for addresses") from error
    except TestbedError as error:
        Console(stderr=True).print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(error.exit_code) from error


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(help=HELP)(main)
    app(prog_name="python -m testbed.sinks")
