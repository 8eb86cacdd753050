import pytest

from extauthz.local.gitlab.instance import Instance, Refused
from extauthz.local.gitlab.membership import (
    can_read,
    group_access,
    max_access_level,
    project_access,
)
from extauthz.local.gitlab.records import Visibility


@pytest.fixture
def instance() -> Instance:
    instance = Instance()
    instance.create_user("ann")
    instance.create_project("top/sub/project")
    return instance


def level(instance: Instance, path: str = "top/sub/project") -> int:
    return max_access_level(instance, instance.user("ann"), instance.project(path))


def test_nobody_has_a_level_by_default(instance: Instance) -> None:
    assert level(instance) == 0


def test_anonymous_has_no_level(instance: Instance) -> None:
    assert max_access_level(instance, None, instance.project("top/sub/project")) == 0


@pytest.mark.parametrize("path", ["top", "top/sub", "top/sub/project"])
@pytest.mark.parametrize("given", [10, 15, 20, 25, 30, 40, 50, 37])
def test_a_level_holds_from_the_group_or_project_downwards(
    instance: Instance, path: str, given: int
) -> None:
    instance.add_member(path, "ann", given)

    assert level(instance) == given


def test_the_highest_level_on_the_way_down_counts(instance: Instance) -> None:
    instance.add_member("top", "ann", 40)
    instance.add_member("top/sub", "ann", 20)
    instance.add_member("top/sub/project", "ann", 10)

    assert level(instance) == 40


def test_a_level_in_a_subgroup_gives_nothing_beside_it(instance: Instance) -> None:
    instance.create_project("top/other/project")
    instance.add_member("top/sub", "ann", 40)

    assert level(instance, "top/other/project") == 0


def test_minimal_access_is_no_level_but_a_row_that_rest_shows(instance: Instance) -> None:
    instance.add_member("top", "ann", 5)
    project, ann = instance.project("top/sub/project"), instance.user("ann")

    assert level(instance) == 0
    assert group_access(instance, ann, project, listed=False) == 5
    assert not can_read(instance, ann, project)


@pytest.mark.parametrize(
    ("share", "member", "expected"), [(30, 10, 10), (10, 50, 10), (20, 20, 20)]
)
@pytest.mark.parametrize("shared", ["top", "top/sub", "top/sub/project"])
def test_an_invited_group_gives_the_lower_of_its_two_levels(
    instance: Instance, shared: str, share: int, member: int, expected: int
) -> None:
    instance.create_group("guests")
    instance.add_member("guests", "ann", member)
    instance.share(shared, "guests", share)

    assert level(instance) == expected


def test_a_share_ends(instance: Instance) -> None:
    instance.create_group("guests")
    instance.add_member("guests", "ann", 30)
    instance.share("top", "guests", 30)
    instance.unshare("top", "guests")

    assert level(instance) == 0


def test_a_group_invited_into_a_project_brings_its_inherited_members(instance: Instance) -> None:
    instance.create_group("firm/guests")
    instance.add_member("firm", "ann", 30)
    instance.share("top/sub/project", "firm/guests", 40)

    assert level(instance) == 30


def test_a_group_invited_into_a_group_brings_its_direct_members_only(instance: Instance) -> None:
    instance.create_group("firm/guests")
    instance.add_member("firm", "ann", 30)
    instance.share("top", "firm/guests", 40)

    assert level(instance) == 0


def test_rest_sees_the_projects_own_row_apart_from_the_groups(instance: Instance) -> None:
    instance.add_member("top", "ann", 40)
    instance.add_member("top/sub", "ann", 20)
    instance.add_member("top/sub/project", "ann", 30)
    ann, project = instance.user("ann"), instance.project("top/sub/project")

    assert project_access(instance, ann, project) == 30
    assert group_access(instance, ann, project, listed=False) == 40
    assert group_access(instance, ann, project, listed=True) == 20


def test_rest_permissions_miss_every_share(instance: Instance) -> None:
    instance.create_group("guests")
    instance.add_member("guests", "ann", 30)
    instance.share("top", "guests", 30)
    instance.share("top/sub/project", "guests", 30)
    ann, project = instance.user("ann"), instance.project("top/sub/project")

    assert project_access(instance, ann, project) is None
    assert group_access(instance, ann, project, listed=False) is None


def test_the_owner_of_a_personal_project_is_its_member(instance: Instance) -> None:
    instance.create_project("ann/notes")

    assert level(instance, "ann/notes") == 50


def test_an_administrator_sees_everything_and_has_no_level(instance: Instance) -> None:
    instance.update_user("ann", admin=True)

    assert can_read(instance, instance.user("ann"), instance.project("top/sub/project"))
    assert level(instance) == 0


@pytest.mark.parametrize(
    ("visibility", "anonymous", "external", "inside"),
    [
        (Visibility.PUBLIC, True, True, True),
        (Visibility.INTERNAL, False, False, True),
        (Visibility.PRIVATE, False, False, False),
    ],
)
def test_visibility_decides_who_sees_a_project_without_being_a_member(
    instance: Instance,
    visibility: Visibility,
    anonymous: bool,  # noqa: FBT001 - a column of the table above
    external: bool,  # noqa: FBT001
    inside: bool,  # noqa: FBT001
) -> None:
    project = instance.create_project("top/seen", visibility=visibility)
    outsider = instance.create_user("oscar", external=True)

    assert can_read(instance, None, project) is anonymous
    assert can_read(instance, outsider, project) is external
    assert can_read(instance, instance.user("ann"), project) is inside


def test_an_external_member_sees_his_project(instance: Instance) -> None:
    instance.update_user("ann", external=True)
    instance.add_member("top", "ann", 10)

    assert can_read(instance, instance.user("ann"), instance.project("top/sub/project"))


def test_a_removed_member_has_no_level(instance: Instance) -> None:
    instance.add_member("top", "ann", 30)
    instance.remove_member("top", "ann")

    assert level(instance) == 0


def test_a_resource_token_is_a_bot_that_is_a_member_there(instance: Instance) -> None:
    token = instance.create_access_token("top/sub", 30)
    bot = instance.users[token.user_id]

    assert bot.bot
    assert bot.username.startswith(f"group_{instance.group('top/sub').id}_bot_")
    assert max_access_level(instance, bot, instance.project("top/sub/project")) == 30


@pytest.mark.parametrize("path", ["top", "TOP/sub", "top/sub/Project", "Ann"])
def test_a_path_is_taken_once_in_any_letter_case(instance: Instance, path: str) -> None:
    with pytest.raises(Refused, match="already been taken"):
        instance.create_group(path)


def test_a_deleted_projects_id_is_never_used_again(instance: Instance) -> None:
    before = instance.project("top/sub/project").id
    instance.delete_project("top/sub/project")

    assert instance.create_project("top/sub/project").id > before


@pytest.mark.parametrize("change", ["add_member", "share"])
def test_a_change_of_something_unknown_is_refused(instance: Instance, change: str) -> None:
    with pytest.raises(Refused, match="there is no"):
        getattr(instance, change)("top", "nobody", 30)
