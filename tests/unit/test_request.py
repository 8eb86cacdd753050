"""The messages are compared with an independent implementation of Envoy's API."""

import pytest
from envoy_data_plane.envoy.config.core.v3 import (
    HeaderMap,
    HeaderValue,
)
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextRequest,
    CheckRequest,
)

from extauthz.edge.errors import BadRequest
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
