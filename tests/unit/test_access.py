"""Access to projects, decided against a demo GitLab: roles, refusals, and what they cost."""

import asyncio

import pytest

from extauthz.edge.policy import Policy
from extauthz.edge.provider import User
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated
from extauthz.grant import Why
from extauthz.levels import Role
from tests.access import World, asked, credential, deciding
from tests.gitlab import DEVELOPER, GUEST, OWNER, REPORTER, GitLab

PATH = "acme/vision/detector"
PROJECT = "currentUser,project"
SELF = "/api/v4/personal_access_tokens/self"


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    """A GitLab with a user `ann` and a private project `acme/vision/detector`."""
    running.reset()
    running.create_user("ann")
    running.create_project(PATH)
    return running


async def test_a_developer_writes(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    async with deciding(gitlab) as world:
        access = await world.in_project(gitlab.token("ann"), PATH)

    assert access.user == User("gitlab:1", "ann")
    assert (access.project_id, access.project_path) == (1, PATH)
    assert (access.role, access.why) == (Role.WRITE, None)


async def test_a_new_token_that_may_write_costs_two_calls(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    async with deciding(gitlab) as world:
        await world.in_project(gitlab.token("ann"), PATH)

    assert asked(gitlab) == [PROJECT, SELF]


async def test_a_new_token_that_only_reads_costs_one_call(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", REPORTER)
    async with deciding(gitlab) as world:
        access = await world.in_project(gitlab.token("ann"), PATH)

    assert (access.role, access.why) == (Role.READ, Why.GUEST)
    assert asked(gitlab) == [PROJECT]


async def test_each_further_project_costs_one_call_and_a_known_one_none(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", DEVELOPER)
    paths = [PATH, "acme/vision/a", "acme/vision/b"]
    for path in paths[1:]:
        gitlab.create_project(path)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        for path in paths:
            access = await world.in_project(token, path)
            assert access.role is Role.WRITE
        assert asked(gitlab) == [PROJECT, SELF, PROJECT, PROJECT]

        for path in paths * 20:
            world.known_project(token, path)

    assert len(gitlab.calls()) == 4


async def test_the_same_object_is_returned_until_it_is_asked_for_again(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", GUEST)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        first = await world.in_project(token, PATH)
        world.clock.pass_by(29.9)
        assert world.known_project(token, PATH.upper()) is first

        world.clock.pass_by(0.1)

        assert await world.in_project(token, PATH) is not first
    assert asked(gitlab) == [PROJECT] * 2


async def test_the_scopes_of_a_token_are_asked_for_rarely(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        for _ in range(10):
            await world.in_project(token, PATH)
            world.clock.pass_by(59)

    assert asked(gitlab) == [PROJECT, SELF, *[PROJECT] * 9]


@pytest.mark.parametrize("checks", [200])
async def test_concurrent_cold_checks_cost_what_one_costs(gitlab: GitLab, checks: int) -> None:
    """Threat 73."""
    gitlab.add_member(PATH, "ann", DEVELOPER)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        accesses = await asyncio.gather(*(world.in_project(token, PATH) for _ in range(checks)))

    assert len({id(access) for access in accesses}) == 1
    assert asked(gitlab) == [PROJECT, SELF]


async def test_concurrent_cold_checks_of_several_projects_ask_for_the_scopes_once(
    gitlab: GitLab,
) -> None:
    gitlab.add_member("acme", "ann", DEVELOPER)
    paths = [f"acme/p{number}" for number in range(5)]
    for path in paths:
        gitlab.create_project(path)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await asyncio.gather(*(world.in_project(token, path) for path in paths * 10))

    assert sorted(asked(gitlab)) == [SELF, *[PROJECT] * 5]


async def test_a_caller_who_leaves_does_not_end_the_question_of_the_others(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", GUEST)
    gitlab.faults("latency", seconds=0.3)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        leaving = asyncio.create_task(world.in_project(token, PATH))
        staying = asyncio.create_task(world.in_project(token, PATH))
        await asyncio.sleep(0)
        leaving.cancel()

        assert (await staying).role is Role.READ
        assert leaving.cancelled()

    assert asked(gitlab) == [PROJECT]


async def test_a_question_outlives_all_who_asked(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", GUEST)
    gitlab.faults("latency", seconds=0.3, times=1)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        leaving = asyncio.create_task(world.in_project(token, PATH))
        await asyncio.sleep(0)
        leaving.cancel()

        await world.in_project(token, PATH)

    assert asked(gitlab) == [PROJECT]


@pytest.mark.parametrize("scopes", [["read_api"], ["read_api", "read_user"]])
async def test_a_token_without_the_api_scope_reads(gitlab: GitLab, scopes: list[str]) -> None:
    gitlab.add_member(PATH, "ann", OWNER)
    async with deciding(gitlab) as world:
        access = await world.in_project(gitlab.token("ann", scopes=scopes), PATH)

    assert (access.role, access.why) == (Role.READ, Why.TOKEN)


async def test_a_token_that_gitlab_fails_to_describe_reads_only_for_a_while(
    gitlab: GitLab,
) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    gitlab.faults("error", path="self|token/info", status=404, times=2)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        access = await world.in_project(token, PATH)
        assert (access.role, access.why) == (Role.READ, Why.TOKEN)
        world.clock.pass_by(30)

        assert (await world.in_project(token, PATH)).role is Role.WRITE


async def test_an_archived_project_is_read_only_and_costs_no_second_call(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", OWNER)
    gitlab.update_project(PATH, archived=True)
    async with deciding(gitlab) as world:
        access = await world.in_project(gitlab.token("ann"), PATH)

    assert (access.role, access.why) == (Role.READ, Why.ARCHIVED)
    assert asked(gitlab) == [PROJECT]


async def test_a_visitor_is_let_in_only_if_the_operator_says_so(gitlab: GitLab) -> None:
    gitlab.update_project(PATH, visibility="public")
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        with pytest.raises(NotFound):
            await world.in_project(token, PATH)
    async with deciding(gitlab, policy=Policy(visitors_read=True)) as world:
        access = await world.in_project(token, PATH)

    assert (access.role, access.why) == (Role.READ, Why.VISITOR)


async def test_a_project_without_the_topics_is_as_if_it_did_not_exist(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", OWNER)
    gitlab.create_project("acme/tagged", topics=["mlflow"])
    token = gitlab.token("ann")
    told = []
    async with deciding(gitlab, policy=Policy(mandatory_topics=frozenset({"mlflow"}))) as world:
        for path in (PATH, "acme/nothing"):
            with pytest.raises(NotFound) as caught:
                await world.in_project(token, path)
            told.append(str(caught.value))
        assert (await world.in_project(token, "acme/tagged")).role is Role.WRITE

    assert told[0] == told[1]


async def _refused_twice(
    world: World, token: str, kind: type[Refusal], *, seconds: float, calls: int
) -> None:
    """Assert that a refusal is remembered for so long, and then found out anew."""
    with pytest.raises(kind) as first:
        await world.in_project(token, PATH)
    assert len(world.gitlab.calls()) == calls
    world.clock.pass_by(seconds - 0.1)
    with pytest.raises(kind) as second:
        world.access.in_project(credential(token), PATH)
    assert (str(second.value), second.value is first.value) == (str(first.value), False)
    assert len(world.gitlab.calls()) == calls
    world.clock.pass_by(0.1)
    with pytest.raises(kind):
        await world.in_project(token, PATH)
    assert len(world.gitlab.calls()) == 2 * calls


async def test_a_bad_token_is_remembered_for_half_a_minute(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await _refused_twice(world, "0" * 64, Unauthenticated, seconds=30, calls=1)


async def test_a_blocked_account_is_remembered_for_half_a_minute(gitlab: GitLab) -> None:
    token = gitlab.token("ann")
    gitlab.block("ann")
    async with deciding(gitlab) as world:
        await _refused_twice(world, token, Forbidden, seconds=30, calls=1)


async def test_a_missing_project_is_remembered_for_a_quarter_of_a_minute(gitlab: GitLab) -> None:
    async with deciding(gitlab) as world:
        await _refused_twice(world, gitlab.token("ann"), NotFound, seconds=15, calls=2)


async def test_a_bad_token_is_refused_everywhere_and_a_missing_project_is_not(
    gitlab: GitLab,
) -> None:
    gitlab.create_project("acme/other")
    gitlab.add_member("acme/other", "ann", GUEST)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        with pytest.raises(NotFound):
            await world.in_project(token, PATH)
        assert (await world.in_project(token, "acme/other")).role is Role.READ

        with pytest.raises(Unauthenticated):
            await world.in_project("made-up", PATH)
        calls = len(gitlab.calls())
        with pytest.raises(Unauthenticated):
            world.access.in_project(credential("made-up"), "acme/other")

    assert len(gitlab.calls()) == calls


async def test_a_revoked_token_is_refused_after_the_answer_has_ended(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", DEVELOPER)
    gitlab.create_project("acme/other")
    token, live = gitlab.token("ann"), gitlab.token("ann")
    async with deciding(gitlab) as world:
        for path in (PATH, "acme/other"):
            await world.in_project(token, path)
        gitlab.revoke(token)
        world.clock.pass_by(31)
        # Another token of the same user refreshes only what is known of itself.
        await world.in_project(live, PATH)
        with pytest.raises(Unauthenticated):
            await world.in_project(token, PATH)

        with pytest.raises(Unauthenticated):
            world.access.in_project(credential(token), "acme/other")


async def test_a_refused_token_loses_what_is_still_fresh_elsewhere(gitlab: GitLab) -> None:
    gitlab.add_member("acme", "ann", DEVELOPER)
    gitlab.create_project("acme/other")
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        gitlab.revoke(token)

        with pytest.raises(Unauthenticated):
            await world.in_project(token, "acme/other")

        with pytest.raises(Unauthenticated):
            world.access.in_project(credential(token), PATH)


async def test_a_lowered_level_counts_when_the_answer_has_ended(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    token = gitlab.token("ann")
    async with deciding(gitlab) as world:
        assert (await world.in_project(token, PATH)).role is Role.WRITE
        gitlab.add_member(PATH, "ann", GUEST)
        world.clock.pass_by(30)
        assert (await world.in_project(token, PATH)).role is Role.READ
        gitlab.remove_member(PATH, "ann")
        world.clock.pass_by(30)
        with pytest.raises(NotFound):
            await world.in_project(token, PATH)


async def test_tokens_of_one_user_share_nothing(gitlab: GitLab) -> None:
    """Threat 69 (CVE-2021-32701)."""
    gitlab.add_member(PATH, "ann", DEVELOPER)
    async with deciding(gitlab) as world:
        writing = await world.in_project(gitlab.token("ann"), PATH)
        reading = await world.in_project(gitlab.token("ann", scopes=["read_api"]), PATH)

    assert (writing.role, reading.role) == (Role.WRITE, Role.READ)


async def test_nothing_is_kept_beyond_the_end_of_a_token(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", DEVELOPER)
    token = gitlab.token("ann", kind="oauth", expires_in=20)
    async with deciding(gitlab) as world:
        await world.in_project(token, PATH)
        world.clock.pass_by(10)
        world.known_project(token, PATH)
        world.clock.pass_by(10)
        gitlab.revoke(token)
        with pytest.raises(Unauthenticated):
            await world.in_project(token, PATH)


async def test_without_a_cache_time_every_check_asks(gitlab: GitLab) -> None:
    gitlab.add_member(PATH, "ann", GUEST)
    token = gitlab.token("ann")
    async with deciding(gitlab, fresh=0, stale=0) as world:
        for _ in range(3):
            await world.in_project(token, PATH)

    assert asked(gitlab) == [PROJECT] * 3
