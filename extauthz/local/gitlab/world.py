"""The worlds a demo GitLab can start with."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from extauthz.local.gitlab.instance import Instance
from extauthz.local.gitlab.oauth.authority import SCOPES
from extauthz.local.gitlab.oauth.records import Application
from extauthz.local.gitlab.records import Level, State, Visibility

# The application of the demo never changes either.
CLIENT_ID: Final = "demo-mlflow"
CLIENT_SECRET: Final = "gloas-demo-mlflow"  # noqa: S105 - public, and good for the demo only
CALLBACK: Final = "http://localhost:5000/auth/authorize"


class World(StrEnum):
    """What exists at the start."""

    DEMO = "demo"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class DemoUser:
    """Somebody to try the demo as; `note` says in a phrase what he may do."""

    name: str
    token: str
    note: str


def world_of(world: World, callback: str = CALLBACK) -> Instance:
    """Return an instance with the content of a world."""
    return demo_world(callback)[0] if world is World.DEMO else Instance()


def demo_world(callback: str = CALLBACK) -> tuple[Instance, tuple[DemoUser, ...]]:
    """Return a small company with two departments, and the people in it worth trying.

    The tokens never change, so that what the documentation shows can be pasted. `callback` is
    where the registered application takes its logins.
    """
    instance = Instance()
    _people(instance)
    _projects(instance)
    _memberships(instance)
    people = _demo_users()
    for person in people:
        _give_token(instance, person)
    instance.oauth.applications[CLIENT_ID] = Application(
        CLIENT_ID, CLIENT_SECRET, "MLflow", (callback,), SCOPES
    )
    return instance, people


def _people(instance: Instance) -> None:
    for username in ("alice", "bob", "carol", "dave", "gina"):
        instance.create_user(username)
    instance.create_user("mallory", external=True)
    instance.create_user("bill", state=State.BLOCKED)
    instance.create_user("root", name="Administrator", admin=True)


def _projects(instance: Instance) -> None:
    mlflow = ("mlflow",)
    instance.create_project("acme/vision/detector", topics=mlflow)
    instance.create_project("acme/vision/segmentation", topics=mlflow)
    instance.create_project("acme/vision/legacy", topics=mlflow, archived=True)
    instance.create_project("acme/nlp/chatbot", topics=mlflow)
    instance.create_project("acme/nlp/translate", topics=mlflow, visibility=Visibility.INTERNAL)
    instance.create_project("acme/showcase", topics=mlflow, visibility=Visibility.PUBLIC)
    instance.create_project("alice/notebook", topics=mlflow)
    instance.create_group("contractors")


def _memberships(instance: Instance) -> None:
    instance.add_member("acme", "alice", Level.OWNER)
    instance.add_member("acme/vision", "bob", Level.DEVELOPER)
    instance.add_member("acme/nlp", "bob", Level.REPORTER)
    instance.add_member("acme/nlp", "carol", Level.MAINTAINER)
    instance.add_member("acme/vision/detector", "gina", Level.GUEST)
    instance.add_member("contractors", "dave", Level.MAINTAINER)
    instance.share("acme/nlp/chatbot", "contractors", Level.DEVELOPER)


def _demo_users() -> tuple[DemoUser, ...]:
    return (
        DemoUser("alice", "glpat-demo-alice", "owner of acme: writes in all its projects"),
        DemoUser("bob", "glpat-demo-bob", "developer in acme/vision, reporter in acme/nlp"),
        DemoUser("carol", "glpat-demo-carol", "maintainer of acme/nlp, nothing in acme/vision"),
        DemoUser("dave", "glpat-demo-dave", "writes in acme/nlp/chatbot, by an invited group"),
        DemoUser("gina", "glpat-demo-gina", "guest in acme/vision/detector: reads it only"),
        DemoUser("bob-read", "glpat-demo-bob-read", "bob's token with the scope read_api: reads"),
        DemoUser("robot", "glpat-demo-robot", "access token of acme/vision/detector: writes"),
        DemoUser("mallory", "glpat-demo-mallory", "external user: member of nothing"),
        DemoUser("bill", "glpat-demo-bill", "blocked account: refused"),
    )


def _give_token(instance: Instance, person: DemoUser) -> None:
    match person.name:
        case "bob-read":
            instance.create_token("bob", scopes=("read_api",), secret=person.token)
        case "robot":
            instance.create_access_token(
                "acme/vision/detector", Level.DEVELOPER, secret=person.token
            )
        case username:
            instance.create_token(username, secret=person.token)
