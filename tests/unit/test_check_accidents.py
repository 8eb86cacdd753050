"""Nothing that is asked, and nothing that access does, is allowed by accident."""

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extauthz.edge.in_session import InSession
from extauthz.edge.refusals import NotFound, Unauthenticated, Unavailable
from extauthz.grant import HEADER, View
from tests.checker import (
    EVERYTHING,
    READER,
    WRITER,
    Outcome,
    Outcomes,
    answer_of,
    checker,
    granted,
    question,
    refused,
)

outcomes = st.sampled_from(
    [
        *(WRITER, READER, EVERYTHING, Unavailable("x"), NotFound("x"), Unauthenticated("x")),
        *(RuntimeError(), KeyError(), InSession(WRITER, ("mlflow-session=new",))),
    ]
)
texts = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", "Bearer x", "Basic eDp5", "a,b", "1", "session=x", "text/html", "Bearer"]),
)
names = st.sampled_from(
    [
        *("authorization", "private-token", "cookie", HEADER, "x_extauthz_grant", "accept"),
        *("host", "origin", "sec-fetch-site", "sec-fetch-mode"),
    ]
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    outcome=outcomes,
    later=st.booleans(),
    mode=st.sampled_from(["tokens", "hub", "login"]),
    method=st.sampled_from(["GET", "POST", "TRACE", ""]),
    path=st.one_of(
        st.text(max_size=40).map("/".__add__),
        st.sampled_from(
            ["/", "/a/b/tracking", "/a/b/tracking/", "/health", "/auth", "/auth/p/7", "/x/tracking"]
        ),
    ),
    headers=st.dictionaries(names, texts, max_size=4),
)
def test_no_request_and_no_outcome_is_allowed_by_accident(
    *,
    outcome: Outcome,
    later: bool,
    mode: str,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    """Threats 1 to 4: an empty answer, or one without a code, would allow."""
    accesses = Outcomes(outcome, later=later)
    answer = asyncio.run(
        answer_of(
            checker(accesses, hub=mode == "hub", login=mode == "login"),
            question(path, method=method, headers=headers),
        )
    )
    assert answer.status is not None
    if answer.status.code == 0:
        grant, target = granted(answer)
        assert target.startswith("/")
        # Only what access said, or what is public, is ever let through.
        assert grant.view is View.PUBLIC or (
            accesses.asked and not isinstance(accesses.outcome, BaseException)
        )
    else:
        assert 300 <= refused(answer)[0] < 600


@given(st.binary(max_size=300))
def test_no_bytes_are_allowed_by_accident(payload: bytes) -> None:
    """Threats 1, 4 and 7."""
    core = checker(Outcomes(NotFound("x")))
    answer = asyncio.run(answer_of(core, payload))
    assert answer.status is not None
    assert answer.status.code != 0 or granted(answer)[0].view is View.PUBLIC
