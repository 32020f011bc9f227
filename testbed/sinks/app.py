"""The routes: the two chat servers, what arrived, the faults, and the page for people."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from testbed.sinks import dingtalk, slack
from testbed.sinks.faults import Fault  # noqa: TC001 - FastAPI reads the annotations at run time
from testbed.sinks.message import Channel, Draft, Message, mask
from testbed.sinks.payload import json_object

if TYPE_CHECKING:
    from testbed.sinks.reception import Reception

PAGE = (Path(__file__).parent / "page.html").read_text("utf-8")
LONGEST_BODY_BYTES = 1_000_000
LONGEST_RAW_TEXT = 64_000


def _policy(page: str) -> str:
    """Allow the page's own script by its hash and no other: a message that got in as markup stays dead."""
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = hashlib.sha256((script.group(1) if script else "").encode()).digest()
    return (
        f"default-src 'none'; script-src 'sha256-{base64.b64encode(digest).decode()}'; "
        "style-src 'unsafe-inline'; connect-src 'self'; frame-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def create_app(reception: Reception, robots: dingtalk.Robots, webhooks: slack.Webhooks) -> FastAPI:
    """Build the chat server.

    Every route is a coroutine: they run in one thread, and the store needs no lock.
    """
    # The interactive documentation of FastAPI loads its scripts from the Internet.
    app = FastAPI(title="slipway testbed: sinks", docs_url=None, redoc_url=None)
    _add_dingtalk(app, reception, robots)
    _add_slack(app, reception, webhooks)
    _add_messages(app, reception)
    _add_faults(app, reception)
    _add_page(app, reception)
    return app


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY_BYTES:
            raise HTTPException(413, f"a message has at most {LONGEST_BODY_BYTES} bytes here")
    return body


def _raw(payload: dict[str, Any] | None, body: bytes) -> Any:
    return body.decode("utf-8", "replace")[:LONGEST_RAW_TEXT] if payload is None else payload


def _add_dingtalk(app: FastAPI, reception: Reception, robots: dingtalk.Robots) -> None:
    @app.get("/robot/send", include_in_schema=False)
    async def _not_post() -> JSONResponse:
        return _dingtalk_response(dingtalk.NOT_POST)

    @app.post("/robot/send", summary="A DingTalk custom robot")
    async def _send(request: Request) -> JSONResponse:
        fault = await reception.fault(Channel.DINGTALK)
        body = await _body(request)
        answer, status = _dingtalk_answer(robots, _dingtalk_request(request, body), reception.clock(), fault)
        payload = json_object(body)
        title, text = dingtalk.read(payload)
        refusal = None if answer.ok else f"{answer.errcode} {answer.errmsg}"
        reception.keep(
            Draft(
                channel=Channel.DINGTALK,
                to=f"robot {mask(request.query_params.get('access_token', ''))}",
                title=title,
                text=text,
                raw=_raw(payload, body),
                size=len(body),
                reason=(fault.reason if fault else None) or refusal,
            )
        )
        return _dingtalk_response(answer, status)


def _dingtalk_request(request: Request, body: bytes) -> dingtalk.Request:
    query = request.query_params
    return dingtalk.Request(
        token=query.get("access_token"),
        timestamp=query.get("timestamp"),
        sign=query.get("sign"),
        content_type=request.headers.get("content-type", ""),
        body=body,
    )


def _dingtalk_answer(
    robots: dingtalk.Robots, request: dingtalk.Request, now_s: float, fault: Fault | None
) -> tuple[dingtalk.Answer, int]:
    if fault is not None and fault.errcode is not None:
        return dingtalk.Answer(fault.errcode, fault.errmsg), 200
    if fault is not None and fault.status is not None:
        return dingtalk.Answer(-1, fault.errmsg), fault.status
    return robots.judge(request, now_s), 200


def _dingtalk_response(answer: dingtalk.Answer, status: int = 200) -> JSONResponse:
    return JSONResponse({"errcode": answer.errcode, "errmsg": answer.errmsg}, status)


def _add_slack(app: FastAPI, reception: Reception, webhooks: slack.Webhooks) -> None:
    @app.post("/services/{team}/{service}/{token}", summary="A Slack incoming webhook")
    async def _send(team: str, service: str, token: str, request: Request) -> PlainTextResponse:
        fault = await reception.fault(Channel.SLACK)
        body = await _body(request)
        kind = request.headers.get("content-type", "")
        if fault is not None and fault.status is not None:
            answer = slack.Answer(fault.status, fault.errmsg, retry_after_s=1 if fault.status == 429 else None)
        else:
            answer = webhooks.judge(slack.Request(team, service, token, kind, body), reception.clock())
        payload = slack.parse(kind, body)
        title, text = slack.read(payload)
        refusal = None if answer.ok else f"{answer.status} {answer.text}"
        reception.keep(
            Draft(
                channel=Channel.SLACK,
                to=webhooks.channel(payload),
                title=title,
                text=text,
                raw=_raw(payload, body),
                size=len(body),
                reason=(fault.reason if fault else None) or refusal,
            )
        )
        headers = {} if answer.retry_after_s is None else {"Retry-After": str(answer.retry_after_s)}
        return PlainTextResponse(answer.text, answer.status, headers)


def _add_messages(app: FastAPI, reception: Reception) -> None:
    store = reception.store

    @app.get("/messages", summary="What arrived, oldest first")
    async def _messages(
        channel: Channel | None = None,
        contains: str = "",
        after: int = 0,
        accepted: bool | None = None,
        newest: Annotated[int | None, Query(ge=1)] = None,
    ) -> list[Message]:
        return store.find(channel=channel, contains=contains, after=after, accepted=accepted, newest=newest)

    @app.get("/messages/{number}", summary="One message")
    async def _message(number: int) -> Message:
        message = store.get(number)
        if message is None:
            raise HTTPException(404, f"no message has the id {number} (any more)")
        return message

    @app.delete("/messages", summary="Forget every message; ids go on")
    async def _clear() -> dict[str, int]:
        return {"cleared": store.clear(), "next_id": store.next_id}


def _add_faults(app: FastAPI, reception: Reception) -> None:
    faults = reception.faults

    @app.get("/faults", summary="The faults that are on")
    async def _all() -> dict[Channel, Fault]:
        return faults.all()

    @app.put("/faults/{channel}", summary="Let a channel misbehave")
    async def _put(channel: Channel, fault: Fault) -> dict[Channel, Fault]:
        try:
            faults.put(channel, fault)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return faults.all()

    @app.delete("/faults", summary="Let every channel behave")
    async def _clear() -> dict[Channel, Fault]:
        faults.clear()
        return faults.all()


def _add_page(app: FastAPI, reception: Reception) -> None:
    headers = {
        "Content-Security-Policy": _policy(PAGE),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }

    @app.get("/health", summary="Alive, with the numbers of the page")
    async def _health() -> dict[str, Any]:
        store = reception.store
        return {
            "status": "ok",
            "oldest_id": store.oldest_id,
            "next_id": store.next_id,
            "counts": store.counts(),
            "faults": {
                channel: fault.model_dump(exclude_defaults=True) for channel, fault in reception.faults.all().items()
            },
        }

    @app.get("/", include_in_schema=False)
    async def _page() -> HTMLResponse:
        return HTMLResponse(PAGE, headers=headers)
