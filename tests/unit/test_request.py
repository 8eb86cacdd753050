"""The messages are compared with an independent implementation of Envoy's API."""

import pytest
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    HeaderMap,
    HeaderValue,
    SocketAddress,
)
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    CheckRequest,
)

from extauthz.edge.refusals import BadRequest
from extauthz.edge.request import Request


def asked(http: AttributeContextHttpRequest | None) -> bytes:
    return bytes(
        CheckRequest(
            attributes=AttributeContext(
                request=AttributeContextRequest(http=http) if http else None,
            )
        )
    )


def test_everything_envoy_says_is_read() -> None:
    request = Request.parse(
        asked(
            AttributeContextHttpRequest(
                id="17",
                method="GET",
                host="mlflow.example.org",
                path="/a/b/tracking/?x=1?y",
                headers={"Accept": "text/html", "authorization": "Bearer t"},
            )
        )
    )
    assert request == Request(
        id="17",
        method="GET",
        host="mlflow.example.org",
        path="/a/b/tracking/",
        query="x=1?y",
        headers={"accept": "text/html", "authorization": "Bearer t"},
    )


@pytest.mark.parametrize(("path", "query"), [("/x", None), ("/x?", ""), ("/x?a", "a")])
def test_no_query_and_an_empty_query_are_told_apart(path: str, query: str | None) -> None:
    assert Request.parse(asked(AttributeContextHttpRequest(method="GET", path=path))).query == query


def test_raw_headers_are_read_too() -> None:
    """Threat 9: under encode_raw_headers Envoy leaves `headers` empty and fills `header_map`."""
    raw = HeaderMap(
        headers=[
            HeaderValue(key="Authorization", raw_value=b"Bearer a"),
            HeaderValue(key="authorization", raw_value=b"Bearer \xe9"),
            HeaderValue(key="accept", value="*/*"),
        ]
    )
    request = Request.parse(
        asked(AttributeContextHttpRequest(method="GET", path="/", header_map=raw))
    )
    assert request.headers == {"authorization": "Bearer a,Bearer é", "accept": "*/*"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\xff\xff",
        b"not protobuf at all",
        asked(None),
        asked(AttributeContextHttpRequest(method="GET")),
        asked(AttributeContextHttpRequest(path="/")),
    ],
    ids=["empty", "bytes", "text", "tcp", "no path", "no method"],
)
def test_what_describes_no_http_request_is_malformed(payload: bytes) -> None:
    """Threat 7."""
    with pytest.raises(BadRequest):
        Request.parse(payload)


@pytest.mark.parametrize(
    ("headers", "navigates"),
    [
        ({"accept": "text/html,application/xhtml+xml"}, True),
        ({"sec-fetch-mode": "navigate"}, True),
        ({"accept": "application/json"}, False),
        ({"sec-fetch-mode": "cors", "accept": "*/*"}, False),
        # A script of a page that fetches HTML has nobody to show a page to.
        ({"sec-fetch-mode": "cors", "accept": "text/html"}, False),
        ({}, False),
    ],
)
def test_a_person_is_told_from_a_client(headers: dict[str, str], *, navigates: bool) -> None:
    http = AttributeContextHttpRequest(method="GET", path="/", headers=headers)
    assert Request.parse(asked(http)).navigates is navigates


@pytest.mark.parametrize(
    ("headers", "fills"),
    [
        ({}, True),
        ({"sec-fetch-dest": "document"}, True),
        ({"sec-fetch-dest": "iframe"}, False),
        ({"sec-fetch-dest": "empty"}, False),
    ],
)
def test_a_page_in_a_frame_is_told_from_one_of_its_own(
    headers: dict[str, str], *, fills: bool
) -> None:
    http = AttributeContextHttpRequest(method="GET", path="/", headers=headers)
    assert Request.parse(asked(http)).fills_the_window is fills


def test_the_client_is_who_envoy_says_it_is_and_else_who_is_connected() -> None:
    peer = Address(socket_address=SocketAddress(address="10.0.0.9"))
    http = AttributeContextHttpRequest(method="GET", path="/")

    def client(**headers: str) -> str:
        http.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        context = AttributeContext(
            source=AttributeContextPeer(address=peer), request=AttributeContextRequest(http=http)
        )
        return Request.parse(bytes(CheckRequest(attributes=context))).client

    assert client() == "10.0.0.9"
    # A client can send the latter, and Envoy never trusts it for the former.
    assert client(x_forwarded_for="203.0.113.7") == "10.0.0.9"
    assert client(x_envoy_external_address="198.51.100.4") == "198.51.100.4"
    assert Request.parse(asked(http)).client == "198.51.100.4"
    http.headers = {}
    assert Request.parse(asked(http)).client == ""


def test_a_request_is_named_as_in_envoys_log() -> None:
    http = AttributeContextHttpRequest(id="stream", method="GET", path="/")
    assert Request.parse(asked(http)).id == "stream"
    http.headers = {"x-request-id": "logged"}
    assert Request.parse(asked(http)).id == "logged"


@pytest.mark.parametrize("target", ["/x", "/x?", "/x?a=1?b"])
def test_the_target_is_what_was_sent(target: str) -> None:
    http = AttributeContextHttpRequest(method="GET", path=target)
    assert Request.parse(asked(http)).target == target
