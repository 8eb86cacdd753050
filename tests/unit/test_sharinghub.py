"""SharingHub as the provider, against one that answers as recorded."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from pydantic import SecretStr

from extauthz.edge.breaker import Breaker
from extauthz.edge.credentials import VISITOR, Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from extauthz.edge.outage import Down, Outage, Throttled
from extauthz.edge.provider import Asker, User, Visibility
from extauthz.edge.refusals import NotFound, Unauthenticated
from extauthz.edge.sharinghub import SharingHub as Provider
from extauthz.edge.slots import Line
from extauthz.edge.upstream import Upstream, open_session
from extauthz.levels import Level
from tests.access import SECRET, TIMEOUT, Calls, asker
from tests.sharinghub import (
    ADMINISTRATOR,
    CONTRIBUTOR,
    COOKIE,
    GUEST,
    NO_ACCESS,
    READ_ONLY,
    SharingHub,
)

FIVE = {"id": 101, "name": "vision", "path": "acme/vision", "categories": [], "access_level": 3}


@pytest.fixture(scope="module")
def running() -> Iterator[SharingHub]:
    with SharingHub.start() as hub:
        yield hub


@pytest.fixture
def hub(running: SharingHub) -> SharingHub:
    running.reset()
    running.project(101, "acme/vision", categories=["ai-model", "dataset"], dev=CONTRIBUTOR)
    return running


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
async def provider(hub: SharingHub, calls: Calls) -> AsyncIterator[Provider]:
    async with open_session() as session:
        upstream = Upstream(
            session,
            hub.url,
            name="SharingHub",
            observer=calls,
            breaker=Breaker(threshold=1000),
            timeout=TIMEOUT,
        )
        yield Provider(upstream, Fingerprints(SECRET, hub.url), session_cookie=COOKIE)


def session_of(value: str) -> Asker:
    return Asker(Credential(Kind.SHARINGHUB_SESSION, SecretStr(value)), value.encode())


def visitor() -> Asker:
    return Asker(VISITOR, b"visitor")


async def test_a_project_is_asked_for_in_one_call_with_the_token_alone(
    hub: SharingHub, provider: Provider, calls: Calls
) -> None:
    ann = asker(hub.token("dev"))
    user, project = await provider.project(ann, "Acme/VISION")

    assert (project.id, project.path) == (101, "acme/vision")
    assert project.topics == {"ai-model", "dataset"}
    assert (project.level, project.archived) == (Level.DEVELOPER, False)
    assert user.subject.startswith("sharinghub:")
    assert ann.credential.secret.get_secret_value() not in user.subject
    (call,) = hub.calls()
    assert call.path == "/api/check/Acme/VISION?info=true"
    assert (call.token, call.cookies, call.bearer) == (True, (), False)
    assert calls.seen == [("project", "answered")]


async def test_each_token_is_a_subject_of_its_own(hub: SharingHub, provider: Provider) -> None:
    tokens = [asker(hub.token("dev")) for _ in range(2)]
    subjects = [(await provider.project(token, "acme/vision"))[0].subject for token in tokens]
    again, _ = await provider.project(tokens[0], "acme/vision")
    assert subjects[0] != subjects[1]
    assert again.subject == subjects[0]


@pytest.mark.parametrize(
    ("said", "level"),
    [
        (GUEST, Level.GUEST),
        (READ_ONLY, Level.GUEST),
        (CONTRIBUTOR, Level.DEVELOPER),
        (ADMINISTRATOR, Level.DEVELOPER),
        (5, Level.NONE),
        (30, Level.NONE),
        (-1, Level.NONE),
    ],
)
async def test_sharinghubs_levels_become_ours(
    hub: SharingHub, provider: Provider, said: int, level: Level
) -> None:
    hub.project(101, "acme/vision", ann=said)
    _, project = await provider.project(asker(hub.token("ann")), "acme/vision")
    assert (project.level, project.visibility) == (level, Visibility.PRIVATE)


@pytest.mark.parametrize("said", [GUEST, READ_ONLY, CONTRIBUTOR, ADMINISTRATOR])
async def test_a_visitor_has_no_level_whatever_the_robot_has(
    hub: SharingHub, provider: Provider, said: int
) -> None:
    hub.anonymous(default_token=hub.token("robot"))
    hub.project(101, "acme/vision", robot=said)
    user, project = await provider.project(visitor(), "acme/vision")
    assert user == User("visitor", "visitor")
    assert (project.level, project.visibility) == (Level.NONE, Visibility.PUBLIC)
    (call,) = hub.calls()
    assert (call.token, call.cookies, call.bearer) == (False, (), False)


@pytest.mark.parametrize("said", [NO_ACCESS, 5])
async def test_what_is_no_access_for_the_robot_is_none_for_a_visitor(
    hub: SharingHub, provider: Provider, said: int
) -> None:
    hub.fault(text=json.dumps(FIVE | {"access_level": said}))
    _, project = await provider.project(visitor(), "acme/vision")
    assert (project.level, project.visibility) == (Level.NONE, Visibility.PRIVATE)


async def test_a_project_that_is_not_there_or_not_categorised_is_absent(
    hub: SharingHub, provider: Provider
) -> None:
    ann = asker(hub.token("dev"))
    hub.project(102, "acme/other", dev=CONTRIBUTOR, categories=[])
    hub.project(103, "acme/hidden", others=NO_ACCESS)
    for path in ("acme/nothing", "acme/other", "acme/hidden", "acme/group"):
        with pytest.raises(NotFound) as raised:
            await provider.project(ann, path)
        assert raised.value.message == "There is no such project, or you are not a member of it."


async def test_a_refusal_of_gitlabs_for_one_project_is_no_refusal_of_the_caller(
    hub: SharingHub, provider: Provider
) -> None:
    hub.fault(status=403, text='{"detail": "HTTP 403 on https://gitlab.internal"}')
    with pytest.raises(NotFound):
        await provider.project(visitor(), "acme/vision")


async def test_a_bad_token_and_no_credential_are_refused_without_sharinghubs_words(
    hub: SharingHub, provider: Provider
) -> None:
    for who in (asker("glpat-made-up"), visitor()):
        with pytest.raises(Unauthenticated) as raised:
            await provider.project(who, "acme/vision")
        assert "gitlab.internal" not in raised.value.message


async def test_a_bad_token_is_bad_where_visitors_are_let_in(
    hub: SharingHub, provider: Provider
) -> None:
    hub.anonymous(default_token=hub.token("dev"), public=True)
    with pytest.raises(Unauthenticated):
        await provider.project(asker("glpat-made-up"), "acme/vision")


HTML = ("<html><body>Bad gateway</body></html>", "text/html")
TROUBLE = [
    (429, '{"detail": "429 Too Many Requests"}', "application/json", Throttled),
    (500, '{"detail": "HTTP 500 on https://gitlab.internal"}', "application/json", Down),
    (500, "Internal Server Error", "text/plain", Down),
    (500, '{"detail": ["Category not found"]}', "application/json", Down),
    (502, *HTML, Down),
    (503, '{"detail": "HTTP 503"}', "application/json", Down),
    (504, "", "text/plain", Down),
    (200, *HTML, Outage),
    (200, "", "text/plain", Outage),
    (200, "{}", "application/json", Outage),
    (200, '{"detail": "Not Found"}', "application/json", Outage),
    (200, '{"id": 101, "name"', "application/json", Outage),
    (204, "", "application/json", Outage),
    (302, "", "text/plain", Outage),
    (400, '{"detail": "Bad Request"}', "application/json", Outage),
    (401, *HTML, Outage),
    (401, '{"message": "no Route matched"}', "application/json", Outage),
    (403, *HTML, Outage),
    (404, *HTML, Outage),
    (404, '{"message": "no Route matched with those values"}', "application/json", Outage),
    (418, '{"detail": "x"}', "application/json", Outage),
]


@pytest.mark.parametrize("case", TROUBLE, ids=str)
async def test_everything_else_is_no_answer(
    hub: SharingHub, provider: Provider, case: tuple[int, str, str, type[Exception]]
) -> None:
    status, text, kind, trouble = case
    hub.fault(status=status, text=text, kind=kind)
    questions: list[Callable[[], Awaitable[object]]] = [
        lambda: provider.project(asker("glpat-any"), "acme/vision"),
        lambda: provider.projects(asker("glpat-any"), [101]),
        lambda: provider.token(session_of("any")),
    ]
    for ask in questions:
        with pytest.raises(trouble) as raised:
            await ask()
        assert "gitlab.internal" not in str(raised.value)


@pytest.mark.parametrize("effect", ["hang", "reset"])
async def test_silence_is_no_answer(hub: SharingHub, provider: Provider, effect: str) -> None:
    hub.fault(effect)
    with pytest.raises(Down):
        await provider.project(asker("glpat-any"), "acme/vision")
    with pytest.raises(Down):
        await provider.token(session_of("any"))


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "acme/other"},
        {"path": "acme/vision/deeper"},
        {"path": ""},
        {"path": None},
        {"id": 0},
        {"id": -1},
        {"id": "101"},
        {"id": True},
        {"name": None},
        {"categories": "ai-model"},
        {"access_level": "4"},
        {"access_level": 4.0},
        {"access_level": True},
        {"access_level": None},
    ],
    ids=str,
)
async def test_only_a_whole_answer_about_the_asked_project_counts(
    hub: SharingHub, provider: Provider, changes: dict[str, object]
) -> None:
    """A crafted path can change SharingHub's own question to GitLab."""
    hub.fault(text=json.dumps(FIVE | changes))
    with pytest.raises(Outage):
        await provider.project(asker("glpat-any"), "acme/vision")


@pytest.mark.parametrize("missing", FIVE)
async def test_an_answer_with_less_is_none(
    hub: SharingHub, provider: Provider, missing: str
) -> None:
    hub.fault(text=json.dumps({name: value for name, value in FIVE.items() if name != missing}))
    with pytest.raises(Outage):
        await provider.project(asker("glpat-any"), "acme/vision")


async def test_projects_are_asked_for_by_id_and_those_not_seen_left_out(
    hub: SharingHub, provider: Provider
) -> None:
    ids = list(range(1, 31))
    for number in ids:
        hub.project(number, f"many/p{number}", ann=CONTRIBUTOR if number % 3 else NO_ACCESS)
    hub.project(7, "many/p7", ann=CONTRIBUTOR, categories=[])
    _, found = await provider.projects(asker(hub.token("ann")), ids)
    assert sorted(project.id for project in found) == [n for n in ids if n % 3 and n != 7]
    assert sorted(call.path for call in hub.calls()) == sorted(
        f"/api/check/{number}?info=true" for number in ids
    )


async def test_another_project_than_the_asked_id_is_no_answer(
    hub: SharingHub, provider: Provider
) -> None:
    hub.fault(path="/102", text=json.dumps(FIVE))
    with pytest.raises(Outage):
        await provider.projects(asker(hub.token("dev")), [101, 102])


async def test_no_more_than_eight_are_asked_for_at_once(
    hub: SharingHub, provider: Provider
) -> None:
    token = hub.token("dev")
    hub.project(1, "many/p1", dev=CONTRIBUTOR)
    hub.fault("hang", path="/api/check/(?!1\\?)")
    asking = asyncio.create_task(provider.projects(asker(token), list(range(1, 40))))
    with pytest.raises(Down):
        await asking
    assert len(hub.calls()) == 1 + Line.VIEWS.slots


async def test_a_bad_credential_costs_one_call_however_many_projects_there_are(
    hub: SharingHub, provider: Provider
) -> None:
    for ids in ([], list(range(1, 30))):
        hub.forget_calls()
        with pytest.raises(Unauthenticated):
            await provider.projects(asker("glpat-made-up"), ids)
        assert len(hub.calls()) == 1


async def test_a_good_credential_is_proven_where_there_are_no_projects(
    hub: SharingHub, provider: Provider
) -> None:
    user, found = await provider.projects(asker(hub.token("ann")), [])
    assert user.subject.startswith("sharinghub:")
    assert found == []


async def test_one_failure_spoils_all_projects(hub: SharingHub, provider: Provider) -> None:
    hub.fault(path="/api/check/3", status=503, text="{}")
    with pytest.raises(Down):
        await provider.projects(asker(hub.token("dev")), [1, 2, 3, 4])


async def test_scopes_are_not_asked_for(hub: SharingHub, provider: Provider) -> None:
    assert (await provider.reach(asker("glpat-any"))).writes
    assert hub.calls() == []


async def test_a_session_is_exchanged_with_its_cookie_alone(
    hub: SharingHub, provider: Provider, calls: Calls
) -> None:
    token = hub.token("ann")
    found = await provider.token(session_of(hub.session(token)))
    assert (found.kind, found.secret.get_secret_value()) == (Kind.TOKEN, token)
    (call,) = hub.calls()
    assert (call.path, call.cookies, call.token) == ("/api/auth/info", (COOKIE,), False)
    assert calls.seen == [("session", "answered")]


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize("robot", [False, True])
async def test_a_session_that_is_none_holds_no_token(
    hub: SharingHub, provider: Provider, *, public: bool, robot: bool
) -> None:
    token = hub.token("dev")
    hub.anonymous(default_token=token if robot else "", public=public)
    good = hub.session(token)
    flipped = good.replace(".", "x.")
    for value in ("forged", flipped, good[:-1], hub.session(token, age=3601), hub.session("")):
        with pytest.raises(Unauthenticated):
            await provider.token(session_of(value))


async def test_a_session_of_sharinghubs_answers_is_never_kept(
    hub: SharingHub, provider: Provider
) -> None:
    """SharingHub sets a session on every answer: one caller's must not become another's."""
    await provider.project(asker(hub.token("dev")), "acme/vision")
    with pytest.raises(Unauthenticated):
        await provider.project(visitor(), "acme/vision")
    assert [call.cookies for call in hub.calls()] == [(), ()]
