"""The request Envoy asks about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from google.protobuf.message import DecodeError

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest
from extauthz.edge.refusals import BadRequest

_CLIENT: Final = "x-envoy-external-address"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, as Envoy will forward it if we agree.

    `path` is everything before the first question mark, `query` what follows it (None when there
    is no question mark, so that the forwarded target is byte for byte the asked one). Header names
    are lower-case; a repeated header is joined with a comma, as Envoy does. `client` is the address
    of whoever asks, as far as the proxies in front that we trust can tell.
    """

    id: str
    method: str
    host: str
    path: str
    query: str | None
    headers: Mapping[str, str]
    client: str = ""

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a serialised CheckRequest; raises BadRequest."""
        try:
            attributes = CheckRequest.FromString(payload).attributes
        except DecodeError as error:
            raise BadRequest("The authorization request cannot be decoded.") from error
        http = attributes.request.http
        # A TCP listener with our filter sends a request without HTTP attributes.
        if not http.method or not http.path:
            raise BadRequest("The authorization request describes no HTTP request.")
        path, mark, query = http.path.partition("?")
        headers = _headers(http)
        return cls(
            # The one that Envoy logs; its own is that of a stream.
            id=headers.get("x-request-id", http.id),
            method=http.method,
            host=http.host,
            path=path,
            query=query if mark else None,
            headers=headers,
            client=client_of(headers) or attributes.source.address.socket_address.address,
        )

    @property
    def target(self) -> str:
        """Path and query as they were sent."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def fills_the_window(self) -> bool:
        """Whether a page is not asked for to be shown within another one."""
        return self.headers.get("sec-fetch-dest", "document") == "document"

    @property
    def navigates(self) -> bool:
        """Whether a person's browser asks for a page; a script of a page does not navigate."""
        mode = self.headers.get("sec-fetch-mode")
        return mode == "navigate" if mode else "text/html" in self.headers.get("accept", "")


def client_of(headers: Mapping[str, str]) -> str:
    """Return the address that Envoy, which takes this header from nobody, names as the client's."""
    return headers.get(_CLIENT, "")


def _headers(http: AttributeContext.HttpRequest) -> dict[str, str]:
    """Read both encodings: Envoy fills `header_map` and not `headers` under encode_raw_headers."""
    headers = dict(http.headers)
    names = "".join(headers)
    if not http.header_map.headers and names == names.lower():
        return headers  # as Envoy sends them
    raw = (
        (header.key, header.value or header.raw_value.decode("latin-1"))
        for header in http.header_map.headers
    )
    joined: dict[str, str] = {}
    for key, value in (*headers.items(), *raw):
        name = key.lower()
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined
