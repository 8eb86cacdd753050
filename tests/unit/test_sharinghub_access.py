"""Access in SharingHub mode, through the very function that the edge starts with."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from pydantic import SecretStr

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.assembly import open_access
from extauthz.edge.check import Accesses
from extauthz.edge.credentials import VISITOR, Credential, Kind
from extauthz.edge.refusals import NotFound, Unauthenticated, Unavailable
from extauthz.edge.settings import Settings
from extauthz.grant import GrantSigner, Why
from extauthz.levels import Role
from tests.access import INSTANCE, KEY, SECRET, Calls, MLflow, credential, decided
from tests.sharinghub import ADMINISTRATOR, CONTRIBUTOR, GUEST, NO_ACCESS, READ_ONLY, SharingHub

PATH = "acme/vision"


@dataclass(frozen=True, slots=True)
class World:
    """The edge's access side, and the two servers it asks."""

    access: Accesses
    hub: SharingHub
    mlflow: MLflow

    async def in_project(self, who: Credential, path: str = PATH) -> ProjectAccess:
        return await decided(self.access.in_project(who, path))

    async def everywhere(self, who: Credential) -> GlobalAccess:
        return await decided(self.access.everywhere(who))

    def paths(self) -> list[str]:
        """Return what SharingHub was asked, in short."""
        return [call.path.removesuffix("?info=true") for call in self.hub.calls()]


@pytest.fixture(scope="module")
def running() -> Iterator[SharingHub]:
    with SharingHub.start() as hub:
        yield hub


@pytest.fixture
def hub(running: SharingHub) -> SharingHub:
    """A SharingHub whose visitors act as a robot that is a developer."""
    running.reset()
    running.project(101, PATH, dev=CONTRIBUTOR, ann=GUEST, robot=CONTRIBUTOR)
    running.project(102, "acme/open", others=READ_ONLY, robot=ADMINISTRATOR)
    running.project(103, "acme/hidden", dev=CONTRIBUTOR)
    running.project(104, "acme/data", categories=["dataset"], others=ADMINISTRATOR)
    running.anonymous(default_token=running.token("robot"))
    return running


@asynccontextmanager
async def deciding(hub: SharingHub, **settings: str) -> AsyncIterator[World]:
    async with MLflow.serving() as mlflow:
        mlflow.ids = [101, 102, 103, 104]
        given = {
            "SHARINGHUB_URL": hub.url,
            "MLFLOW_URL": mlflow.url,
            "SECRET_KEY": SECRET.get_secret_value(),
            "INSTANCE_ID": INSTANCE,
            "SHARINGHUB_AUTH_DEFAULT_TOKEN": "true",
        } | settings
        loaded = Settings.load(given)
        async with open_access(loaded, signer=GrantSigner(KEY), observer=Calls()) as parts:
            yield World(parts.accesses, hub, mlflow)


@pytest.fixture
async def world(hub: SharingHub) -> AsyncIterator[World]:
    async with deciding(hub) as world:
        yield world


def session_of(value: str) -> Credential:
    return Credential(Kind.SHARINGHUB_SESSION, SecretStr(value))


async def test_a_session_and_the_token_in_it_are_the_same_caller(world: World) -> None:
    token = world.hub.token("dev")
    by_session = await world.in_project(session_of(world.hub.session(token)))
    by_token = await world.in_project(credential(token))
    assert (by_session.role, by_session.why) == (Role.WRITE, None)
    assert by_session.user == by_token.user
    assert by_session.user.subject.startswith("sharinghub:")
    assert world.paths() == ["/api/auth/info", "/api/check/acme/vision"]


async def test_a_new_token_costs_a_call_and_each_further_project_another(world: World) -> None:
    token = credential(world.hub.token("dev"))
    for _ in range(3):
        await world.in_project(token)
        await world.in_project(token, "ACME/Vision")
        await world.in_project(token, "acme/hidden")
    assert world.paths() == ["/api/check/acme/vision", "/api/check/acme/hidden"]


async def test_what_is_known_is_there_at_once(world: World) -> None:
    session = session_of(world.hub.session(world.hub.token("dev")))
    first = await world.in_project(session)
    assert world.access.in_project(session, PATH) is first
    everything = await world.everywhere(session)
    assert world.access.everywhere(session) is everything


async def test_a_thousand_requests_at_once_cost_what_one_costs(world: World) -> None:
    session = session_of(world.hub.session(world.hub.token("dev")))
    await asyncio.gather(*(world.in_project(session) for _ in range(1000)))
    assert world.paths() == ["/api/auth/info", "/api/check/acme/vision"]


async def test_the_global_view_shows_what_sharinghub_and_the_collection_let_through(
    world: World,
) -> None:
    assert (await world.everywhere(credential(world.hub.token("dev")))).projects == (101, 102, 103)
    assert (await world.everywhere(credential(world.hub.token("ann")))).projects == (101, 102)
    assert (await world.everywhere(VISITOR)).projects == (101, 102)


async def test_a_project_outside_the_collection_does_not_exist(hub: SharingHub) -> None:
    token = credential(hub.token("dev"))
    async with deciding(hub) as world:
        with pytest.raises(NotFound):
            await world.in_project(token, "acme/data")
    async with deciding(hub, SHARINGHUB_STAC_COLLECTION="dataset") as world:
        assert (await world.in_project(token, "acme/data")).role is Role.WRITE
        with pytest.raises(NotFound):
            await world.in_project(token)
    async with deciding(hub, SHARINGHUB_STAC_COLLECTION="Dataset") as world:
        with pytest.raises(NotFound):
            await world.in_project(token, "acme/data")


@pytest.mark.parametrize("path", [PATH, "acme/open"])
async def test_a_visitor_only_reads_whatever_the_robot_may(world: World, path: str) -> None:
    access = await world.in_project(VISITOR, path)
    assert (access.role, access.why) == (Role.READ, Why.VISITOR)
    assert access.user.subject == "visitor"


async def test_a_signed_in_stranger_reads_what_sharinghub_shows_him(world: World) -> None:
    stranger = credential(world.hub.token("stranger"))
    access = await world.in_project(stranger, "acme/open")
    assert (access.role, access.why) == (Role.READ, Why.GUEST)
    with pytest.raises(NotFound):
        await world.in_project(stranger)


async def test_forged_ended_and_empty_sessions_are_the_one_visitor(world: World) -> None:
    """Threat 65.

    A forged cookie must never be answered with the level of the default token's robot.
    """
    hub, token = world.hub, world.hub.token("dev")
    for value in ("forged", hub.session(token)[:-1], hub.session(token, age=3601), "x" * 4000):
        access = await world.in_project(session_of(value))
        assert (access.role, access.why) == (Role.READ, Why.VISITOR)
        assert access is await world.in_project(VISITOR)
    assert world.paths().count("/api/check/acme/vision") == 1


async def test_a_forged_session_is_asked_about_once(world: World) -> None:
    for _ in range(5):
        await world.in_project(session_of("forged"))
        await world.everywhere(session_of("forged"))
    assert world.paths().count("/api/auth/info") == 1


async def test_a_bad_token_never_becomes_a_visitor(world: World) -> None:
    """Threat 66."""
    for path in (PATH, "acme/open"):
        with pytest.raises(Unauthenticated):
            await world.in_project(credential("glpat-made-up"), path)
    with pytest.raises(Unauthenticated):
        await world.everywhere(credential("glpat-made-up"))
    assert world.paths() == ["/api/check/acme/vision"]


async def test_a_session_whose_token_was_revoked_is_refused(world: World) -> None:
    """SharingHub says 200 to such a session for as long as its cookie lives."""
    token = world.hub.token("dev")
    world.hub.revoke(token)
    with pytest.raises(Unauthenticated):
        await world.in_project(session_of(world.hub.session(token)))


@pytest.mark.parametrize("robot", [False, True])
async def test_there_are_no_visitors_unless_that_is_set(hub: SharingHub, *, robot: bool) -> None:
    if not robot:
        hub.anonymous(public=True)
    async with deciding(hub, SHARINGHUB_AUTH_DEFAULT_TOKEN="false") as world:
        for nobody in (VISITOR, session_of("forged")):
            with pytest.raises(Unauthenticated):
                await world.in_project(nobody, "acme/open")
            with pytest.raises(Unauthenticated):
                await world.everywhere(nobody)
        assert not [path for path in world.paths() if path.startswith("/api/check/")]


async def test_in_public_mode_visitors_read_what_gitlab_shows_everybody(hub: SharingHub) -> None:
    hub.anonymous(public=True)
    async with deciding(hub) as world:
        # There auth/info gives every cookie an empty token.
        for nobody in (VISITOR, session_of("forged")):
            access = await world.in_project(nobody, "acme/open")
            assert (access.role, access.why) == (Role.READ, Why.VISITOR)
            with pytest.raises(NotFound):
                await world.in_project(nobody)


async def test_without_either_mode_a_visitor_must_sign_in(world: World) -> None:
    world.hub.anonymous()
    with pytest.raises(Unauthenticated, match="Sign in"):
        await world.in_project(VISITOR)


async def test_the_same_text_as_session_and_as_token_are_two_things(world: World) -> None:
    """CVE-2026-33496: a cache that did not tell kinds of credentials apart."""
    token = world.hub.token("dev")
    assert (await world.in_project(credential(token))).role is Role.WRITE
    assert (await world.in_project(session_of(token))).why is Why.VISITOR
    session = world.hub.session(token)
    assert (await world.in_project(session_of(session))).role is Role.WRITE
    with pytest.raises(Unauthenticated):
        await world.in_project(credential(session))


async def test_a_lower_level_and_a_removed_project_take_effect(hub: SharingHub) -> None:
    async with deciding(hub, PROJECT_CACHE_TIMEOUT="0") as world:
        session = session_of(hub.session(hub.token("dev")))
        assert (await world.in_project(session)).role is Role.WRITE
        hub.project(101, PATH, dev=READ_ONLY)
        assert (await world.in_project(session)).role is Role.READ
        hub.project(101, PATH, dev=NO_ACCESS)
        with pytest.raises(NotFound):
            await world.in_project(session)
    # The session itself is believed longer than its access.
    assert world.paths().count("/api/auth/info") == 1


async def test_a_session_is_exchanged_again_when_its_time_is_over(hub: SharingHub) -> None:
    async with deciding(hub, SHARINGHUB_AUTH_CACHE_TIMEOUT="0") as world:
        session = session_of(hub.session(hub.token("dev")))
        for _ in range(3):
            await world.in_project(session)
    assert world.paths().count("/api/auth/info") == 3
    assert world.paths().count("/api/check/acme/vision") == 1


async def test_in_an_outage_known_callers_read_and_nobody_else_gets_in(hub: SharingHub) -> None:
    timeouts = {"PROJECT_CACHE_TIMEOUT": "0", "SHARINGHUB_AUTH_CACHE_TIMEOUT": "0"}
    async with deciding(hub, **timeouts) as world:
        session = session_of(hub.session(hub.token("dev")))
        await world.in_project(session)
        await world.in_project(VISITOR)
        hub.fault(status=502, text="<html>", kind="text/html")
        for known in (session, VISITOR):
            assert (await world.in_project(known)).role is Role.READ
        assert (await world.in_project(session)).why is Why.STALE
        with pytest.raises(Unavailable):
            await world.in_project(session_of(hub.session(hub.token("ann"))))
        with pytest.raises(Unavailable):
            await world.in_project(credential(hub.token("dev")))
        hub.heal()


async def test_an_outage_makes_nobody_a_visitor(hub: SharingHub) -> None:
    hub.fault(path="/api/auth/info", status=503, text="{}")
    async with deciding(hub) as world:
        with pytest.raises(Unavailable):
            await world.in_project(session_of(hub.session(hub.token("dev"))), "acme/open")
        with pytest.raises(Unavailable):
            await world.in_project(session_of("forged"), "acme/open")
    hub.heal()


async def test_made_up_sessions_do_not_crowd_out_good_ones(world: World) -> None:
    session = session_of(world.hub.session(world.hub.token("dev")))
    first = await world.in_project(session)
    for number in range(300):
        await world.in_project(session_of(f"forged-{number}"))
    assert world.access.in_project(session, PATH) is first
