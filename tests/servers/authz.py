"""An ext_authz server that answers what a test tells it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1._async import HealthServicer

from extauthz._pb.external_auth_pb2 import CheckRequest

Answer = Callable[[CheckRequest], Awaitable[bytes]]


@asynccontextmanager
async def authz(address: str, answer: Answer) -> AsyncIterator[None]:
    """Serve Check on `address`; `answer` returns the serialised CheckResponse."""

    async def check(payload: bytes, _: object) -> bytes:
        return await answer(CheckRequest.FromString(payload))

    server = grpc.aio.server()
    handlers = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    service = "envoy.service.auth.v3.Authorization"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)
    server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)
