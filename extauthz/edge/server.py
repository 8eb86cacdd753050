"""The gRPC server that carries the decision to Envoy."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from extauthz.edge.address import Address
from extauthz.edge.check import Checker

SERVICE: Final = "envoy.service.auth.v3.Authorization"
# Envoy's own limit on request headers is 96 KiB; the rest is the protocol's share.
_LARGEST_MESSAGE: Final = 256 * 1024
_GRACE_SECONDS: Final = 5
_OPTIONS: Final = [
    ("grpc.max_receive_message_length", _LARGEST_MESSAGE),
    ("grpc.so_reuseport", 0),
]


class Server:
    """Answers Check and the standard health service on one address."""

    def __init__(self, checker: Checker, address: Address) -> None:
        self._checker = checker
        self._address = address
        self._health = health.HealthServicer()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve while the context is open, then let what is under way finish.

        Raises RuntimeError when the address cannot be bound.
        """
        server = grpc.aio.server(options=_OPTIONS)
        check = grpc.unary_unary_rpc_method_handler(self._check)
        server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(SERVICE, {"Check": check})]
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        server.add_insecure_port(str(self._address))
        await server.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        try:
            yield
        finally:
            await server.stop(_GRACE_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Ask to be taken out of rotation, and go on serving for a while."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(seconds)

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", SERVICE):
            await self._health.set(service, status)

    async def _check(self, payload: bytes, _: grpc.aio.ServicerContext) -> bytes:
        answer = self._checker.check(payload)
        return await answer if isinstance(answer, Awaitable) else answer
