"""Requests through Envoy in somebody's name, byte for byte as a test writes them."""

import json
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from typing import Any, Self
from urllib.parse import urlencode

from tests.servers.envoy import Answer

API = "/api/2.0/mlflow/"
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Caller:
    """One credential in one view of MLflow; `prefix` is empty in the global view."""

    port: int
    prefix: str
    headers: Headers

    @classmethod
    def with_token(cls, port: int, prefix: str, token: str) -> Self:
        """Call with a bearer token."""
        return cls(port, prefix, (("Authorization", f"Bearer {token}"),))

    def sending(self, *headers: tuple[str, str]) -> Self:
        """Return the same caller, whose requests have these headers too."""
        return replace(self, headers=(*self.headers, *headers))

    def in_view_of(self, other: Self) -> Self:
        """Return the same credential in another caller's view."""
        return replace(self, prefix=other.prefix)

    @property
    def uri(self) -> str:
        """The tracking URI of the view."""
        return f"http://127.0.0.1:{self.port}{self.prefix}"

    def send(
        self, method: str, target: str, body: object = None, *headers: tuple[str, str]
    ) -> Answer:
        """Send a request to a path of the view; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = "application/octet-stream" if data is body else "application/json"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, self.prefix + target)
            for name, value in (*self.headers, *headers):
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("Content-Type", kind)
                connection.putheader("Content-Length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            received = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, received, answer.read())
        finally:
            connection.close()

    def call(self, endpoint: str, **arguments: Any) -> Answer:
        """Call one of MLflow's endpoints, such as `POST runs/create`."""
        method, path = endpoint.split(" ")
        if method == "GET":
            return self.send(method, f"{API}{path}?{urlencode(arguments, doseq=True)}")
        return self.send(method, API + path, arguments)

    def get(self, endpoint: str, **arguments: Any) -> Any:
        """Return what an endpoint answers to a GET that must succeed."""
        return _succeeded(self.call(f"GET {endpoint}", **arguments))

    def post(self, endpoint: str, **arguments: Any) -> Any:
        """Return what an endpoint answers to a POST that must succeed."""
        return _succeeded(self.call(f"POST {endpoint}", **arguments))


def _succeeded(answer: Answer) -> Any:
    assert answer.status == 200, (answer.status, answer.body)
    return answer.json()
