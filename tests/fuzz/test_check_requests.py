"""Any question that Envoy, or whoever reaches the edge, may ask: never an allow without a reason.

The core is the one that `extauthz serve` runs. What it may answer at most says `oracle`.
"""

import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from envoy_data_plane.envoy.config.core.v3 import (
    Address,
    HeaderMap,
    HeaderValue,
    Metadata,
    SocketAddress,
)
from envoy_data_plane.envoy.service.auth.v3 import (
    AttributeContext,
    AttributeContextHttpRequest,
    AttributeContextPeer,
    AttributeContextRequest,
    CheckRequest,
)
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.refusals import BadRequest
from extauthz.edge.request import Request
from extauthz.grant import View
from extauthz.levels import Role
from tests.fuzz.cases import cases, damaged, texts
from tests.fuzz.core import COOKIE, ORIGIN, Core, Person
from tests.fuzz.depth import FUZZED
from tests.fuzz.oracle import Allowed, check, read

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", ""]
NAMES = [
    *("authorization", "private-token", "x-gitlab-token", "cookie", "origin", "sec-fetch-site"),
    *("sec-fetch-mode", "sec-fetch-dest", "accept", "host", "x-request-id", "upgrade"),
    *("x-extauthz-grant", "x_extauthz_grant", "x-mlflow-workspace", "x-forwarded-host"),
    *("x-envoy-external-address", ":path", ":method", "job-token", "user-agent", "Authorization"),
]


def question(
    path: str,
    headers: list[tuple[str, str]],
    *,
    method: str = "GET",
    raw: bool = False,
    host: str = "localhost:5000",
    client: str = "",
) -> bytes:
    http = AttributeContextHttpRequest(id="17", method=method, path=path, host=host)
    if raw:
        pairs = [HeaderValue(key=name, raw_value=value.encode()) for name, value in headers]
        http.header_map = HeaderMap(headers=pairs)
    else:
        for name, value in headers:
            http.headers[name] = (
                value if name not in http.headers else f"{http.headers[name]},{value}"
            )
    peer = AttributeContextPeer(
        address=Address(socket_address=SocketAddress(address=client, port_value=40_000)),
        labels={"app": "envoy"},
        principal="spiffe://cluster.local/ns/a/sa/b",
    )
    return bytes(
        CheckRequest(
            attributes=AttributeContext(
                source=peer,
                destination=peer,
                request=AttributeContextRequest(http=http),
                context_extensions={"virtual_host": "mlflow"},
                metadata_context=Metadata(),
            )
        )
    )


@st.composite
def values(draw: st.DrawFn, core: Core) -> str:
    """Return the value of a header: hostile, or with a good secret in it somewhere."""
    person = core.people[draw(st.sampled_from(sorted(core.people)))]
    secret = draw(st.sampled_from([person.secret, person.basic]))
    return draw(
        st.one_of(
            texts("headers"),
            st.just(secret),
            st.sampled_from(["Bearer {}", "Basic {}", "bearer  {} ", f"{core.cookie}={{}}"]).map(
                lambda form: form.format(secret)
            ),
            texts("headers").map(lambda text: text + secret),
            st.sampled_from(["same-origin", "cross-site", ORIGIN, "https://evil.example", ""]),
        )
    )


@st.composite
def questions(draw: st.DrawFn, core: Core) -> bytes:
    """Return a question of a caller who is known, with hostile headers beside his credential."""
    person = core.people[draw(st.sampled_from(sorted(core.people)))]
    own = draw(
        st.sampled_from(
            [("cookie", f"{core.cookie}={person.secret}")]
            if person.is_cookie
            else [
                ("authorization", f"Bearer {person.secret}"),
                ("authorization", f"Basic {person.basic}"),
                ("private-token", person.secret),
                ("x-gitlab-token", person.secret),
            ]
        )
    )
    others = draw(st.lists(st.tuples(st.sampled_from(NAMES), values(core)), max_size=3))
    return question(
        draw(texts("targets")),
        [own, *others] if draw(st.booleans()) else others,
        method=draw(st.sampled_from(METHODS)),
        raw=draw(st.booleans()),
        host=draw(st.sampled_from(["localhost:5000", "evil.example", "a,b", ""])),
        client=draw(st.sampled_from(["", "192.0.2.1", "2001:db8::1", "unix"])),
    )


def own_header(core: Core, person: Person) -> list[tuple[str, str]]:
    """Return the header that proves somebody."""
    if person.is_cookie:
        return [("cookie", f"{core.cookie}={person.secret}")]
    return [("authorization", f"Bearer {person.secret}")]


def roles_in(core: Core, project: str) -> dict[str, Role | int]:
    """Return what everybody who is known gets in a project: a role, or the status of a refusal."""
    roles = {}
    for name, person in core.people.items():
        headers = own_header(core, person)
        answer = check(core, question(f"/{project}/tracking/", headers))
        roles[name] = answer.grant.role if isinstance(answer, Allowed) else answer
        everywhere = check(core, question("/", headers))
        assert isinstance(everywhere, Allowed) is person.everywhere
    return roles


def test_who_is_known_is_let_through(core: Core) -> None:
    """Without this, a core that refuses everything would pass."""
    assert roles_in(core, "acme/vision") == {
        "developer": Role.WRITE,
        "reader": Role.READ,
        "guest": Role.READ,
        "nobody": 404,
        "job": Role.WRITE,
        "session": Role.WRITE,
    }


def test_who_is_known_to_sharinghub_is_let_through(hub_core: Core) -> None:
    assert roles_in(hub_core, "acme/vision") == {
        "developer": Role.WRITE,
        "guest": Role.READ,
        "nobody": 404,
        "session": Role.WRITE,
        "visitor": 404,
    }
    assert set(roles_in(hub_core, "acme/open").values()) == {Role.READ}


def test_each_saved_target_is_decided(core: Core) -> None:
    """Threats 31 to 39."""
    bearer = [("authorization", f"Bearer {core.people['developer'].secret}")]
    let_through = 0
    for target in cases("targets"):
        for headers in (bearer, []):
            answer = check(core, question(target, headers))
            let_through += isinstance(answer, Allowed)
            assert headers or not isinstance(answer, Allowed) or answer.grant.view is View.PUBLIC
    assert let_through > 20


def test_each_saved_header_is_decided(core: Core) -> None:
    """Threats 21, 22, 43, 47 and 59."""
    bearer = ("authorization", f"Bearer {core.people['developer'].secret}")
    for value in cases("headers"):
        for name in NAMES:
            check(core, question("/acme/vision/tracking/", [(name, value), bearer]))
        for name in ("authorization", "cookie"):
            check(core, question("/acme/vision/tracking/", [(name, value)]))


def test_no_path_is_written_into_an_answer_that_ends_a_cookie(core: Core) -> None:
    """Threat 139: whoever names such a cookie chooses the path of the one that ends it."""
    cookies = "; ".join(f"mlflow-request-header-{number}=x" for number in range(30))
    for target in [*cases("targets"), "/acme;HttpOnly/\x1f/"]:
        payload = question(target, [("cookie", cookies)])
        assert not isinstance(check(core, payload), Allowed)
        assert len(core.answer(payload)) < 32 * 1024


@FUZZED
@given(data=st.data())
def test_hostile_questions_are_answered_with_no_more_than_the_caller_may(
    core: Core, data: st.DataObject
) -> None:
    """Threats 1 to 4, 7 to 9, 14, 19 to 23, 31 to 39 and 43."""
    check(core, data.draw(questions(core)))


@FUZZED
@given(data=st.data())
def test_hostile_questions_are_answered_with_no_more_than_sharinghub_shows(
    hub_core: Core, data: st.DataObject
) -> None:
    """Threats 21, 22, 39, 42, 43, 65 and 66."""
    check(hub_core, data.draw(questions(hub_core)))


@FUZZED
@given(data=st.data())
def test_damaged_questions_are_answered_with_no_more_than_the_caller_may(
    core: Core, data: st.DataObject
) -> None:
    """Threats 4 and 7: one question within another, or behind another, is merged by Protobuf."""
    check(core, data.draw(damaged(questions(core))))


@FUZZED
@given(st.binary(max_size=2_000))
def test_arbitrary_bytes_are_refused(core: Core, payload: bytes) -> None:
    """Threats 1, 4 and 7."""
    assert not isinstance(check(core, payload), Allowed)


def steps(work: Callable[[], object]) -> int:
    """Return how many calls of functions some work takes, those into C included."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


GROWING: dict[str, Callable[[int], bytes]] = {
    "marks": lambda n: question("/tracking" * n, []),
    "segments": lambda n: question("/a" * n + "/tracking/", []),
    "escapes": lambda n: question("/api/2.0/" + "%C3%A9" * n, []),
    "query": lambda n: question("/?" + "a=b&" * n, []),
    "headers": lambda n: question("/", [(f"x-{at}", "v") for at in range(n)]),
    "copies": lambda n: question("/", [("authorization", "Bearer x")] * n, raw=True),
    "cookies": lambda n: question("/", [("cookie", f"{COOKIE}=x; " * n)]),
    "header cookies": lambda n: question("/", [("cookie", "mlflow-request-header-x=y; " * n)]),
    "basic": lambda n: question("/", [("authorization", "Basic " + "eDp4" * n)]),
    "job token": lambda n: question("/", [("authorization", f"Bearer a.{'W1td' * n}.c")]),
    "underscores": lambda n: question("/", [("x" + "_" * n, "v")]),
}


@pytest.mark.parametrize("family", GROWING)
def test_the_work_for_a_question_grows_no_faster_than_the_question(core: Core, family: str) -> None:
    """Threat 26. Work is counted in calls, so that a busy machine does not matter."""
    few, many = (GROWING[family](n) for n in (400, 1_600))
    core.answer(few)
    spent, more = (steps(lambda payload=payload: core.answer(payload)) for payload in (few, many))  # type: ignore[misc] # mypy loses the default
    assert more <= 4.5 * spent + 500, (spent, more)


@FUZZED
@given(st.binary(max_size=500))
def test_what_is_parsed_is_what_another_parser_reads(junk: bytes) -> None:
    """Two readings of one question would be two decisions."""
    payload = question("/acme/vision/tracking/?x=1", [("accept", "a"), ("origin", "b")]) + junk
    with suppress(BadRequest):
        ours, theirs = Request.parse(payload), read(payload)
        assert (ours.method, ours.target) == (theirs.method, theirs.path)
        assert set(ours.headers.items()) <= set(theirs.headers)
