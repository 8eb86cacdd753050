import pytest

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.membership import can_read, max_access_level
from extauthz.local.gitlab.records import State
from extauthz.local.gitlab.world import World, demo_world, world_of


@pytest.mark.parametrize(
    ("name", "path", "level"),
    [
        ("alice", "acme/nlp/chatbot", 50),
        ("alice", "acme/vision/legacy", 50),
        ("alice", "alice/notebook", 50),
        ("bob", "acme/vision/detector", 30),
        ("bob", "acme/nlp/chatbot", 20),
        ("bob-read", "acme/vision/detector", 30),
        ("carol", "acme/nlp/translate", 40),
        ("carol", "acme/vision/detector", 0),
        ("dave", "acme/nlp/chatbot", 30),
        ("dave", "acme/nlp/translate", 0),
        ("gina", "acme/vision/detector", 10),
        ("gina", "acme/vision/segmentation", 0),
        ("robot", "acme/vision/detector", 30),
        ("mallory", "acme/showcase", 0),
    ],
)
def test_demo_users_have_the_levels_their_notes_tell(name: str, path: str, level: int) -> None:
    instance, people = demo_world()
    (person,) = [person for person in people if person.name == name]
    user = instance.users[instance.tokens[person.token].user_id]

    assert max_access_level(instance, user, instance.project(path)) == level


def test_the_external_user_sees_the_public_project_alone() -> None:
    instance, _ = demo_world()
    mallory = instance.user("mallory")

    seen = [each.path for each in instance.projects.values() if can_read(instance, mallory, each)]
    assert seen == ["acme/showcase"]


def test_every_demo_token_is_usable_but_the_blocked_users() -> None:
    instance, people = demo_world()
    owners = {person.name: instance.tokens[person.token].user_id for person in people}

    blocked = [name for name, id_ in owners.items() if instance.users[id_].state is State.BLOCKED]
    assert blocked == ["bill"]


def test_the_tokens_are_the_same_in_every_demo() -> None:
    assert demo_world()[1] == demo_world()[1]


@pytest.mark.parametrize(("world", "empty"), [(World.DEMO, False), (World.EMPTY, True)])
def test_a_world_is_found_by_its_name(world: World, *, empty: bool) -> None:
    instance: Instance = world_of(world)

    assert (not instance.projects) is empty
