"""What a CI job's token says, read from the claims of a token that the demo GitLab made."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extauthz.edge.job_claims import Job, job_of
from extauthz.edge.job_tokens import is_job_token
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, Refusal, Unauthenticated
from tests.gitlab import DEVELOPER, GitLab

AUDIENCE = "https://mlflow.example.org"
PATH = "acme/vision"
Claims = dict[str, Any]


@pytest.fixture(scope="module")
def running() -> Iterator[GitLab]:
    with GitLab.start() as gitlab:
        gitlab.create_user("ann")
        gitlab.create_project(PATH, id=42)
        gitlab.add_member("acme", "ann", DEVELOPER)
        yield gitlab


@pytest.fixture(scope="module")
def token(running: GitLab) -> str:
    return running.mint_id_token(PATH, "ann", AUDIENCE)


@pytest.fixture
def claims(token: str) -> Claims:
    payload = token.split(".")[1]
    decoded: Claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded


def job(claims: Claims, running: GitLab, *, age: float = 0) -> Job:
    """Return the job of claims so many seconds after they were made."""
    now = claims["iat"] + age
    return job_of(claims, issuer=running.url, audience=AUDIENCE, now=now)


def refusal(
    claims: Claims,
    running: GitLab,
    changes: Claims,
    kind: type[Refusal] = Unauthenticated,
    *,
    age: float = 0,
) -> str:
    """Return the message with which changed claims are refused."""
    now = claims["iat"] + age
    with pytest.raises(kind) as caught:
        job_of({**claims, **changes}, issuer=running.url, audience=AUDIENCE, now=now)
    return str(caught.value)


def signed(payload: bytes, *, header: bytes = b"{}", signature: str = "c2lnbmVk") -> str:
    parts = (urlsafe_b64encode(part).decode().rstrip("=") for part in (header, payload))
    return ".".join((*parts, signature))


def test_a_job_is_of_a_project_and_a_user(claims: Claims, running: GitLab) -> None:
    known = job(claims, running)

    assert known == Job(42, PATH, User("gitlab:1", "ann"), DEVELOPER, claims["iat"] + 900)


def test_ids_may_be_numbers(claims: Claims, running: GitLab) -> None:
    numbers = {"project_id": 42, "job_project_id": 42, "user_id": 1}

    assert job({**claims, **numbers}, running) == job(claims, running)


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("guest", 10),
        ("planner", 15),
        ("reporter", 20),
        ("security manager", 25),
        ("security_manager", 25),
        ("developer", 30),
        ("maintainer", 40),
        ("owner", 50),
        ("superuser", 0),
        ("Owner", 0),
        ("", 0),
        ("50", 0),
        (50, 0),
        (["owner"], 0),
        (None, 0),
    ],
)
def test_a_level_is_told_by_its_name_and_an_unknown_one_gives_nothing(
    claims: Claims, running: GitLab, name: object, level: int
) -> None:
    assert job({**claims, "user_access_level": name}, running).level == level


def test_without_a_level_there_is_none(claims: Claims, running: GitLab) -> None:
    # GitLab before 16.9.
    del claims["user_access_level"]

    assert job(claims, running).level == 0


@pytest.mark.parametrize("others", [["x"], [], ["x", "https://y.example.org"]])
def test_the_audience_may_be_one_of_several(
    claims: Claims, running: GitLab, others: list[str]
) -> None:
    assert job({**claims, "aud": [*others, AUDIENCE]}, running).project_id == 42


@pytest.mark.parametrize(
    "audience",
    [
        "https://other.example.org",
        f"{AUDIENCE}/",
        f"{AUDIENCE}.evil.example",
        AUDIENCE.upper(),
        "",
        [],
        ["x"],
        [[AUDIENCE]],
        {AUDIENCE: 1},
        None,
        1,
    ],
)
def test_another_audience_is_refused_with_the_setting_to_change(
    claims: Claims, running: GitLab, audience: object
) -> None:
    """Threat 48: a token for another service is not one for this."""
    message = refusal(claims, running, {"aud": audience})

    assert "`aud`" in message
    assert "`id_tokens`" in message
    assert AUDIENCE in message


def test_without_an_audience_of_ours_no_token_is_for_us(claims: Claims, running: GitLab) -> None:
    with pytest.raises(Unauthenticated):
        job_of({**claims, "aud": ""}, issuer=running.url, audience="", now=claims["iat"])


@pytest.mark.parametrize("tail", [".", "/", ".evil.example", "@evil.example", ":80", "#", "\n"])
def test_an_issuer_that_looks_alike_is_refused(claims: Claims, running: GitLab, tail: str) -> None:
    """Threat 48."""
    message = refusal(claims, running, {"iss": running.url + tail})

    assert running.url in message


@pytest.mark.parametrize("issuer", ["https://gitlab.evil.example", "", None, 1, ["x"]])
def test_another_issuer_is_refused(claims: Claims, running: GitLab, issuer: object) -> None:
    """Threat 48."""
    refusal(claims, running, {"iss": issuer})


def test_an_issuer_in_a_list_or_in_other_letters_is_refused(
    claims: Claims, running: GitLab
) -> None:
    """Threat 48."""
    refusal(claims, running, {"iss": [running.url]})
    refusal(claims, running, {"iss": running.url.upper()})


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", [None, True, "1900000000", 1.9e9, float("inf"), [], {}])
def test_a_time_that_is_no_whole_number_is_refused(
    claims: Claims, running: GitLab, name: str, value: object
) -> None:
    assert name in refusal(claims, running, {name: value})


def test_it_ends_with_the_job(claims: Claims, running: GitLab) -> None:
    soon = {**claims, "exp": claims["iat"] + 120}

    assert job(soon, running).ends == claims["iat"] + 120


def test_an_end_is_forgiven_as_much_as_clocks_may_differ(claims: Claims, running: GitLab) -> None:
    soon = {"exp": claims["iat"] + 120}

    assert job({**claims, **soon}, running, age=149).ends == claims["iat"] + 120
    assert "has ended" in refusal(claims, running, soon, age=150)


@pytest.mark.parametrize("expires", [901, 3_600, 10**9, 10**30])
def test_it_is_good_for_a_quarter_of_an_hour_whatever_it_says(
    claims: Claims, running: GitLab, expires: int
) -> None:
    """Threat 50: nothing tells us that a job has ended."""
    far = {"exp": claims["iat"] + expires}

    assert job({**claims, **far}, running, age=899).ends == claims["iat"] + 900
    assert "15 minutes" in refusal(claims, running, far, age=900)


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_one_from_the_future_is_refused(claims: Claims, running: GitLab, name: str) -> None:
    """Threat 50: a later `iat` would put the end off."""
    job({**claims, name: claims["iat"] + 30}, running)

    assert "clocks" in refusal(claims, running, {name: claims["iat"] + 31})


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_one_from_long_before_time_began_is_refused(
    claims: Claims, running: GitLab, name: str
) -> None:
    assert "has ended" in refusal(claims, running, {name: -(10**400)})


@pytest.mark.parametrize("name", ["project_id", "user_id"])
@pytest.mark.parametrize(
    "value",
    [None, True, 0, -42, "0", "-42", "042", " 42", "42\n", "\uff14\uff12", "4_2", 4.2, [], 10**20],
)
def test_an_id_that_is_none_is_refused(
    claims: Claims, running: GitLab, name: str, value: object
) -> None:
    assert name in refusal(claims, running, {name: value})


@pytest.mark.parametrize("name", ["project_path", "user_login"])
@pytest.mark.parametrize("value", [None, "", 1, [PATH]])
def test_a_name_that_is_none_is_refused(
    claims: Claims, running: GitLab, name: str, value: object
) -> None:
    assert name in refusal(claims, running, {name: value})


@pytest.mark.parametrize(
    "where",
    [
        {"project_path": "eve/vision", "project_id": "43"},
        {"project_path": "eve/vision"},
        {"project_id": "43"},
        {"job_project_path": "eve/vision"},
        {"job_project_id": "43"},
        {"job_project_id": 43},
        {"job_project_id": None},
        {"job_project_path": None},
    ],
)
def test_a_job_of_a_forks_merge_request_is_refused(
    claims: Claims, running: GitLab, where: Claims
) -> None:
    """Threat 49: `project_path` is the fork there, `job_project_path` where the job runs."""
    assert "fork" in refusal(claims, running, where, Forbidden)


def test_a_gitlab_that_does_not_say_where_a_job_runs_is_believed(
    claims: Claims, running: GitLab
) -> None:
    # GitLab before 18.4.
    older = {name: value for name, value in claims.items() if not name.startswith("job_project")}

    assert job(older, running) == job(claims, running)


def test_no_message_quotes_what_was_sent(claims: Claims, running: GitLab) -> None:
    for name in ("iss", "aud", "exp", "iat", "nbf", "project_id", "project_path", "user_login"):
        assert "s3cret" not in refusal(claims, running, {name: {"s3cret": 1}})


def test_a_token_with_our_audience_is_a_jobs(running: GitLab, token: str) -> None:
    assert is_job_token(token, AUDIENCE)
    assert is_job_token(running.mint_id_token(PATH, "ann", ["x", AUDIENCE]), AUDIENCE)


def test_one_that_nobody_signed_is_a_jobs_too_and_refused_as_such(token: str) -> None:
    """CVE-2026-28802: `alg` none and an empty signature; it is never tried as something else."""
    unsigned = token.rpartition(".")[0] + "."

    assert is_job_token(unsigned, AUDIENCE)


@pytest.mark.parametrize("audience", ["", "https://other.example.org", AUDIENCE[:-1]])
def test_a_token_for_somebody_else_is_not(token: str, audience: str) -> None:
    assert not is_job_token(token, audience)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "..",
        "glpat-0123456789abcdefghij",
        "glpat-MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0.01.0123456789",
        "0" * 64,
        signed(b""),
        signed(b"{"),
        signed(b"\xff\xfe\xfd"),
        signed(b"null"),
        signed(json.dumps(AUDIENCE).encode()),
        signed(json.dumps([AUDIENCE]).encode()),
        signed(b"[" * 6_000),
        signed(b"9" * 6_000),
        signed(json.dumps({"aud": {AUDIENCE: 1}}).encode()),
        signed(json.dumps({"aud": AUDIENCE}).encode()).replace(".", ".."),
        signed(json.dumps({"aud": AUDIENCE}).encode()) + ".e30",
        signed(json.dumps({"aud": AUDIENCE}).encode()) + "\n",
        signed(json.dumps({"aud": AUDIENCE, "x": "x" * 32_768}).encode()),
        "é.é.é",
        json.dumps({"payload": "e30", "signatures": []}),
    ],
    ids=range(20),
)
def test_whatever_else_there_is_is_not(token: str) -> None:
    assert not is_job_token(token, AUDIENCE)


@given(payload=st.binary(), audience=st.text())
def test_looking_never_fails(payload: bytes, audience: str) -> None:
    is_job_token(signed(payload), audience)
    is_job_token(audience, audience)
