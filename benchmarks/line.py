"""A line to a server: one connection that is kept, and how long an answer on it takes."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from typing import Any


class Refused(Exception):  # noqa: N818 - named for what happened
    """A request of a benchmark that was not answered with success."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a server is asked; a body that is not bytes goes as JSON."""

    name: str
    method: str
    path: str
    body: object = None


@contextmanager
def line(port: int) -> Iterator[HTTPConnection]:
    """Open a connection, and close it at the end of the block."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        yield connection


def ask(
    connection: HTTPConnection, request: Request, headers: Mapping[str, str], prefix: str = ""
) -> tuple[float, bytes]:
    """Return how long an answer takes, in seconds, and its body; raises Refused."""
    body: Any = request.body
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body)
    kind = "application/octet-stream" if body is request.body else "application/json"
    began = time.perf_counter()
    connection.request(
        request.method, prefix + request.path, body, {"Content-Type": kind, **headers}
    )
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - began
    if answer.status != HTTPStatus.OK:
        raise Refused(f"{request.name} was answered {answer.status}: {content.decode()}")
    return seconds, content
