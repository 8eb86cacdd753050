"""An edge that answers what a test tells it, behind the real Envoy and a recording upstream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from extauthz._pb.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
    DeniedHttpResponse,
    HeaderValue,
    HeaderValueOption,
    HttpStatus,
    OkHttpResponse,
    Status,
)
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.grant import HEADER as GRANT
from tests.servers.authz import Answer, authz
from tests.servers.echo import Upstream, upstream
from tests.servers.envoy import ALL, Envoy, envoy
from tests.servers.ports import free_port


@dataclass(slots=True)
class Edge:
    """Allows everything with a grant, until told otherwise; remembers what it was asked."""

    answer: Answer
    asked: list[CheckRequest] = field(default_factory=list)

    async def check(self, question: CheckRequest) -> bytes:
        self.asked.append(question)
        return await self.answer(question)


@dataclass(frozen=True, slots=True)
class Stack:
    envoy: Envoy
    edge: Edge
    mlflow: Upstream


async def allow(_: CheckRequest) -> bytes:
    grant = HeaderValueOption(
        header=HeaderValue(key=GRANT, value="ours"),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    return CheckResponse(
        status=Status(code=0), ok_response=OkHttpResponse(headers=[grant])
    ).SerializeToString()


async def allow_without_a_grant(_: CheckRequest) -> bytes:
    return CheckResponse(status=Status(code=0), ok_response=OkHttpResponse()).SerializeToString()


async def deny(_: CheckRequest) -> bytes:
    refusal = DeniedHttpResponse(status=HttpStatus(code=403), body='{"message": "ours"}')
    return CheckResponse(status=Status(code=7), denied_response=refusal).SerializeToString()


async def redirect(_: CheckRequest) -> bytes:
    pairs = [("location", "/elsewhere"), ("set-cookie", "a=1; Path=/"), ("set-cookie", "b=2")]
    headers = [
        HeaderValueOption(
            header=HeaderValue(key=key, value=value),
            append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD,
        )
        for key, value in pairs
    ]
    sent = DeniedHttpResponse(status=HttpStatus(code=302), headers=headers)
    return CheckResponse(status=Status(code=7), denied_response=sent).SerializeToString()


async def garbage(_: CheckRequest) -> bytes:
    return b"\xff\xff\xff"


async def hang(_: CheckRequest) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


async def crash(_: CheckRequest) -> bytes:
    raise RuntimeError("the edge has a defect")


def options(folder: Path, upstream_port: int, *check: str) -> EnvoyOptions:
    return EnvoyOptions(
        listen=f"127.0.0.1:{free_port()}",
        check=check or (f"unix:{folder}/check.sock",),
        check_timeout=0.5,
        mlflow=f"127.0.0.1:{upstream_port}",
        mlflow_host="mlflow.internal:5001",
        admin=f"unix:{folder}/admin.sock",
    )


@asynccontextmanager
async def running(folder: Path, binary: Path = ALL["1.40.0"]) -> AsyncIterator[Stack]:
    edge = Edge(allow)
    async with (
        upstream(free_port()) as mlflow,
        authz(f"unix:{folder}/check.sock", edge.check),
        envoy(options(folder, mlflow.port), folder, binary=binary) as proxy,
    ):
        yield Stack(proxy, edge, mlflow)
