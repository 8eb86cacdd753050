"""The decision core before browsers: pages, sessions and where a login leads."""

import pytest

from extauthz.edge.in_session import InSession
from extauthz.edge.refusals import NotFound, Unauthenticated, Unavailable
from extauthz.grant import View
from tests.checker import (
    READER,
    WRITER,
    Outcomes,
    answer_of,
    checker,
    cookies_in,
    granted,
    question,
    refused,
)


@pytest.mark.parametrize("path", ["/auth/login", "/acme/vision/tracking/auth/login"])
async def test_a_browser_that_wants_to_log_in_is_told_honestly(path: str) -> None:
    payload = question(path, headers={"accept": "text/html"})
    status, body = refused(await answer_of(checker(Outcomes(WRITER)), payload))
    assert status == 404
    assert body.startswith("<!doctype html>")
    assert "no browser login here" in body


@pytest.mark.parametrize("later", [False, True])
async def test_a_browser_without_a_session_is_sent_to_sharinghub(*, later: bool) -> None:
    core = checker(Outcomes(Unauthenticated("x"), later=later), hub=True)
    answer = await answer_of(core, question("/a/b/tracking/", headers={"accept": "text/html"}))
    assert refused(answer)[0] == 302
    api = await answer_of(core, question("/a/b/tracking/", headers={}))
    assert refused(api)[0] == 401


async def test_a_sharinghub_session_changes_nothing_without_an_origin() -> None:
    """Threat 62."""
    core = checker(Outcomes(WRITER), hub=True)
    path, cookie = "/a/b/tracking/graphql", {"cookie": "session=x"}
    ours = cookie | {"sec-fetch-site": "same-origin"}
    assert refused(await answer_of(core, question(path, method="POST", headers=cookie)))[0] == 403
    granted(await answer_of(core, question(path, method="POST", headers=ours)))


@pytest.mark.parametrize("later", [False, True])
async def test_a_browser_learns_of_its_refreshed_session_with_the_answer(*, later: bool) -> None:
    core = checker(Outcomes(InSession(WRITER, ("mlflow-session=new",)), later=later), login=True)
    answer = await answer_of(core, question(headers={"cookie": "mlflow-session=old"}))
    grant, _ = granted(answer)
    assert grant.project_id == 42
    assert answer.ok_response is not None
    added = answer.ok_response.response_headers_to_add
    assert cookies_in(added) == ["mlflow-session=new"]
    kept = [each.header.value for each in added if each.header and each.header.key != "set-cookie"]
    assert kept == ["private, no-store"]


async def test_an_answer_without_news_of_the_session_may_be_kept() -> None:
    answer = await answer_of(checker(Outcomes(WRITER)), question())
    assert answer.ok_response is not None
    assert not answer.ok_response.response_headers_to_add


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("navigates", [False, True])
async def test_a_refusal_loses_no_refreshed_session(*, later: bool, navigates: bool) -> None:
    refusal = NotFound("x", cookies=["mlflow-session=new"])
    headers = {"cookie": "mlflow-session=old"} | ({"accept": "text/html"} if navigates else {})
    core = checker(Outcomes(refusal, later=later), login=True)
    answer = await answer_of(core, question("/a/b/tracking/", headers=headers))
    assert refused(answer)[0] == 404
    assert answer.denied_response is not None
    assert cookies_in(answer.denied_response.headers) == ["mlflow-session=new"]


@pytest.mark.parametrize("name", ["", "login", "authorize", "logout"])
async def test_a_page_is_forwarded_with_its_cookies_and_a_grant_that_shows_nothing(
    name: str,
) -> None:
    accesses = Outcomes(WRITER)
    target = f"/mlflow/auth/{name}?x=%2F"
    core = checker(accesses, prefix="/mlflow", login=True)
    answer = await answer_of(core, question(target, headers={}))
    grant, path = granted(answer)
    assert (grant.view, path) == (View.PUBLIC, target)
    assert answer.ok_response is not None
    removed = answer.ok_response.headers_to_remove
    assert "cookie" not in removed
    assert {"authorization", "private-token", "x-forwarded-host"} <= set(removed)
    assert accesses.asked == []


async def test_nobody_is_signed_out_by_another_site() -> None:
    core, path = checker(Outcomes(WRITER), login=True), "/auth/logout"
    ours, theirs = {"origin": "http://localhost:5000"}, {"sec-fetch-site": "cross-site"}
    for headers in ({}, theirs, {"origin": "null"}, ours | theirs):
        payload = question(path, method="POST", headers=headers)
        assert refused(await answer_of(core, payload))[0] == 403
    granted(await answer_of(core, question(path, method="POST", headers=ours)))


@pytest.mark.parametrize("later", [False, True])
async def test_the_number_of_a_project_leads_to_its_view(*, later: bool) -> None:
    accesses = Outcomes(READER, later=later)
    answer = await answer_of(checker(accesses, prefix="/mlflow"), question("/mlflow/auth/p/42"))
    assert refused(answer)[0] == 302
    assert accesses.asked == ["42"]
    assert answer.denied_response is not None
    (location,) = [
        option.header.value
        for option in answer.denied_response.headers
        if option.header and option.header.key == "location"
    ]
    assert location == "http://localhost:5000/mlflow/acme/vision/tracking/"


@pytest.mark.parametrize("refusal", [NotFound("x"), Unauthenticated("x"), Unavailable("x")])
async def test_the_number_of_a_hidden_project_leads_nowhere(refusal: Exception) -> None:
    answer = await answer_of(checker(Outcomes(refusal)), question("/auth/p/42"))
    assert refused(answer)[0] in (401, 404, 503)
