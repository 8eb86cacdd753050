from collections.abc import Iterator
from typing import ClassVar

import pytest

from extauthz.edge.access import GlobalAccess, ProjectAccess
from extauthz.edge.mint import Mint
from extauthz.edge.provider import User
from extauthz.edge.refusals import TooManyProjects
from extauthz.edge.settings import Settings
from extauthz.grant import Grant, GrantKey, GrantSigner, GrantVerifier, Links, View, Why
from extauthz.levels import Role

SETTINGS = Settings.load(
    {"GITLAB_URL": "https://gitlab.example.org", "SECRET_KEY": "0123456789abcdef0123456789abcdef"}
)
ALICE = User("gitlab:7", "alice")
PROJECT = ProjectAccess(ALICE, 42, "acme/vision", Role.WRITE, None)


class Clock:
    """A clock for both the wall and the cache, moved by the test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def access() -> ProjectAccess:
    return ProjectAccess(ALICE, 42, "acme/vision", Role.WRITE, None)


def mint_at(clock: Clock, settings: Settings = SETTINGS) -> Mint:
    return Mint(settings, GrantSigner(GrantKey(settings.grant_key), clock=clock), clock=clock)


def test_a_grant_is_handed_out_again_only_with_half_its_life_left() -> None:
    clock = Clock()
    mint, same = mint_at(clock), access()
    first = mint.for_access(same)
    clock.now += 29
    assert mint.for_access(same) == first
    clock.now += 2
    assert mint.for_access(same) != first


def test_a_new_look_up_never_gets_an_old_grant() -> None:
    clock = Clock()
    mint = mint_at(clock)
    first = mint.for_access(access())
    clock.now += 5
    assert mint.for_access(access()) != first


class Counted(tuple[int, ...]):
    """Project ids that count how often somebody goes through them."""

    __slots__ = ()
    passes: ClassVar[int] = 0

    def __iter__(self) -> Iterator[int]:
        Counted.passes += 1
        return super().__iter__()


def test_too_large_a_view_is_found_out_once_a_while() -> None:
    clock = Clock()
    mint = mint_at(clock)
    everything = GlobalAccess(ALICE, Counted(range(0, 2**31, 2**15)))
    with pytest.raises(TooManyProjects) as first:
        mint.for_access(everything)
    passes = Counted.passes

    with pytest.raises(TooManyProjects) as second:
        mint.for_access(everything)

    assert 0 < passes == Counted.passes
    assert str(first.value) == str(second.value)
    assert first.value is not second.value


def test_each_access_has_a_grant_of_its_own() -> None:
    """CVE-2026-33496: what is kept for one caller must never be another's."""
    mint = mint_at(Clock())
    bob = User("gitlab:8", "bob")
    accesses: list[ProjectAccess | GlobalAccess] = [
        access(),
        ProjectAccess(bob, 42, "acme/vision", Role.WRITE, None),
        GlobalAccess(ALICE, (42,)),
        GlobalAccess(bob, (7,)),
    ]
    grants = {mint.public(), *map(mint.for_access, accesses)}
    assert len(grants) == 1 + len(accesses)


def opened(token: str, clock: Clock, settings: Settings = SETTINGS) -> Grant:
    keys = [GrantKey(settings.grant_key)]
    return GrantVerifier(keys, instance=settings.instance, clock=clock).open(token)


def test_a_grant_for_everything_names_its_caller_and_why_it_only_reads() -> None:
    clock = Clock()
    grant = opened(mint_at(clock).for_access(GlobalAccess(ALICE, (3, 42))), clock)
    assert (grant.view, grant.role, grant.why) == (View.GLOBAL, Role.READ, Why.GLOBAL)
    assert (grant.subject, grant.name, grant.projects) == ("gitlab:7", "alice", (3, 42))
    assert grant.instance == SETTINGS.instance


def test_a_grant_for_a_project_is_no_more_than_the_access() -> None:
    clock = Clock()
    reader = ProjectAccess(ALICE, 42, "acme/vision", Role.READ, Why.STALE)
    grant = opened(mint_at(clock).for_access(reader), clock)
    assert (grant.view, grant.role, grant.why) == (View.PROJECT, Role.READ, Why.STALE)
    assert (grant.subject, grant.name) == ("gitlab:7", "alice")
    assert (grant.project_id, grant.project_path) == (42, "acme/vision")


def test_the_grant_for_nobody_in_particular_shows_nothing() -> None:
    clock = Clock()
    grant = opened(mint_at(clock).public(), clock)
    assert grant == Grant(view=View.PUBLIC, instance=SETTINGS.instance)


def links_of(settings: Settings, access: ProjectAccess | GlobalAccess = PROJECT) -> Links:
    clock = Clock()
    return opened(mint_at(clock, settings).for_access(access), clock, settings).links


def test_the_links_lead_to_the_provider_and_out() -> None:
    assert links_of(SETTINGS) == Links(
        project="https://gitlab.example.org/acme/vision", home="http://localhost:5000/"
    )


def test_where_people_sign_in_they_can_sign_out() -> None:
    settings = Settings.load(
        {
            "GITLAB_URL": "https://gitlab.example.org",
            "GITLAB_OAUTH_CLIENT_ID": "id",
            "GITLAB_OAUTH_CLIENT_SECRET": "secret",
            "PUBLIC_URL": "https://hub.example.org/mlflow",
            "SECRET_KEY": SETTINGS.secret_key.get_secret_value(),
        }
    )
    out = "https://hub.example.org/mlflow/auth/logout"
    assert links_of(settings).logout == out
    everywhere = links_of(settings, GlobalAccess(ALICE, (42,)))
    assert everywhere == Links(home="https://hub.example.org/mlflow/", logout=out)


def test_a_project_leads_to_its_page_in_sharinghub_where_people_also_sign_out() -> None:
    settings = Settings.load(
        {
            "SHARINGHUB_URL": "https://hub.example.org",
            "SHARINGHUB_STAC_COLLECTION": "ai model/#",
            "PUBLIC_URL": "https://hub.example.org/mlflow",
            "SECRET_KEY": SETTINGS.secret_key.get_secret_value(),
        }
    )
    ui = "https://hub.example.org/ui/#/api/stac/collections"
    assert links_of(settings) == Links(
        project=f"{ui}/ai%20model%2F%23/items/acme/vision", home="https://hub.example.org/mlflow/"
    )
    everywhere = links_of(settings, GlobalAccess(ALICE, ()))
    assert everywhere == Links(home="https://hub.example.org/mlflow/")
