"""Providers that answer 200 and nonsense: whoever they lie about gains nothing by it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.caller import Caller
from tests.chaos.account import Kind
from tests.chaos.ground import Ground, Town
from tests.chaos.liar import Liar, Lie, always, half, liar, with_fields
from tests.gitlab import GitLab
from tests.polling import eventually
from tests.servers.edge import edge
from tests.servers.mlflow import GRANT_KEY, MLflow, mlflow
from tests.servers.ports import free_port
from tests.servers.stack import SETTINGS, Stack, proxy
from tests.sharinghub import CONTRIBUTOR, READ_ONLY, SharingHub

pytestmark = pytest.mark.soak

GITLABS: dict[str, Lie] = {
    "a page for browsers": always("<html>Welcome</html>", "text/html"),
    "a page called JSON": always("<html>Welcome</html>"),
    "half an answer": half,
    "nothing": always(""),
    "an empty list": always("[]"),
    "an empty object": always("{}"),
    "another project's id": with_fields(id="gid://gitlab/User/1"),
    "no data": always('{"data": null}'),
    "nobody": with_fields(currentUser=None),
    "a level in words": with_fields(maxAccessLevel="OWNER", access_level="owner"),
    "a level as text": with_fields(integerValue="50", access_level="50"),
    "a level that is true": with_fields(integerValue=True, access_level=True),
    "a level beyond all": with_fields(integerValue=-50, access_level=-50),
    "another project's path": with_fields(fullPath="acme/other", path_with_namespace="acme/other"),
}
HUBS: dict[str, dict[str, Any]] = {
    "silence": {"effect": "hang"},
    "resets": {"effect": "reset"},
    "errors": {"status": 500},
    "a page for browsers": {"text": "<html>Welcome</html>", "kind": "text/html"},
    "nothing": {"text": ""},
    "an empty list": {"text": "[]"},
    "an empty object": {"text": "{}"},
    "a level in words": {"text": '{"id": %d, "path": "%s", "access_level": "4"}'},
    "a level beyond all": {"text": '{"id": %d, "path": "%s", "access_level": 50}'},
    "another project": {"text": '{"id": 1, "path": "acme/other", "access_level": 4}'},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture(scope="module")
def lying(server: MLflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Liar, Stack]]:
    """An edge whose GitLab may lie, and an Envoy."""
    folder = tmp_path_factory.mktemp("lying")
    with GitLab.start() as gitlab, liar(free_port(), gitlab.url) as speaker:
        url = f"http://127.0.0.1:{server.port}"
        with (
            edge(folder, gitlab_url=speaker.url, mlflow_url=url, settings=SETTINGS) as asked,
            proxy(folder, asked, server) as envoy,
        ):
            yield speaker, Stack(gitlab, server, asked, envoy)


@pytest.mark.parametrize("name", GITLABS)
def test_a_gitlab_that_lies_lets_nobody_in(lying: tuple[Liar, Stack], name: str) -> None:
    """Threats 74 to 76."""
    speaker, stack = lying
    town = Town.of(stack)
    with town.ground.event(*town.holders_of_tokens(), mend=speaker.mend) as crowd:
        speaker.told.clear()
        speaker.lie = GITLABS[name]
        eventually(lambda: bool(speaker.told), wanted=True)
        crowd.hears(100)
        newcomer = town.foreign.developer().in_view_of(town.ours.caller(""))
        assert town.ground.sees(newcomer) >= 400


def test_a_gitlab_that_cannot_be_connected_to_lets_nobody_in(lying: tuple[Liar, Stack]) -> None:
    """Threats 74 and 78."""
    speaker, stack = lying
    town = Town.of(stack)
    with town.ground.event(*town.holders_of_tokens(), mend=speaker.mend) as crowd:
        speaker.hang_up()
        crowd.is_hit()
        crowd.hears(60)


@pytest.fixture(scope="module")
def hub(
    server: MLflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SharingHub, int]]:
    """A SharingHub, and the port of an Envoy before an edge that asks it."""
    folder: Path = tmp_path_factory.mktemp("hub")
    settings = {"GRANT_KEY": GRANT_KEY.get_secret_value(), "SHARINGHUB_AUTH_CACHE_TIMEOUT": "1"}
    with SharingHub.start() as running:
        url = f"http://127.0.0.1:{server.port}"
        with (
            edge(folder, sharinghub_url=running.url, mlflow_url=url, settings=settings) as asked,
            proxy(folder, asked, server) as envoy,
        ):
            yield running, envoy.port


@pytest.mark.parametrize("name", HUBS)
def test_a_sharinghub_that_lies_or_is_away_lets_nobody_in(
    hub: tuple[SharingHub, int], name: str
) -> None:
    """Threats 42 and 74."""
    running, port = hub
    number = 1_000 + 2 * list(HUBS).index(name)
    ours, foreign = f"acme/vision-{number}", f"acme/foreign-{number}"
    running.reset()
    running.project(number, ours, ann=CONTRIBUTOR, gus=READ_ONLY)
    running.project(number + 1, foreign, sam=CONTRIBUTOR)

    def caller(path: str, user: str) -> Caller:
        return Caller.with_token(port, f"/{path}/tracking", running.token(user))

    stranger = caller(foreign, "sam")
    ground = Ground.of(caller(ours, "ann"), stranger)
    clients = [
        ground.client(Kind.MEMBER, caller(ours, "ann")),
        ground.client(Kind.GUEST, caller(ours, "gus")),
        ground.client(Kind.STRANGER, stranger, caller(ours, "sam")),
        ground.client(Kind.MADE_UP, Caller.with_token(port, f"/{ours}/tracking", "made-up")),
    ]
    fault = HUBS[name]
    if "%d" in fault.get("text", ""):
        fault = {**fault, "text": fault["text"] % (number, ours)}
    with ground.event(*clients, mend=running.heal) as crowd:
        running.forget_calls()
        running.fault(path="/api/check", **fault)
        eventually(lambda: bool(running.calls("/api/check")), wanted=True)
        crowd.hears(100)
        assert ground.sees(caller(ours, "newcomer")) >= 400
