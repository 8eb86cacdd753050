"""What is wrong at GitLab or SharingHub, in the database or with a clock: exactly that is found."""

import sqlite3
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from shutil import copyfile

import pytest
from aiohttp import web

from extauthz.doctor.clock import clocks
from extauthz.doctor.deployment import Deployment as Known
from extauthz.doctor.finding import Status
from extauthz.doctor.wire import opened
from extauthz.edge.address import Address
from extauthz.edge.site import Site
from tests.doctor.deployment import Deployment, Diagnosis
from tests.doctor.gateways import Gateway, gateway
from tests.gitlab import GUEST
from tests.servers.edge import edge
from tests.servers.mlflow import project
from tests.servers.ports import free_port
from tests.servers.stack import SETTINGS
from tests.sharinghub import SharingHub

SCOPES = {"openid", "profile", "email", "read_user", "api"}


@pytest.fixture
def tampering(deployment: Deployment) -> Iterator[Deployment]:
    """The deployment, whose GitLab may be wrong for a while."""
    yield deployment
    deployment.gitlab.tamper()


def test_a_gitlab_that_calls_itself_something_else(tampering: Deployment, healthy: Gateway) -> None:
    tampering.gitlab.tamper(discovery={"issuer": "https://gitlab.example.org"})
    found = tampering.diagnosis(healthy)
    assert found.wrong == {"OIDC discovery"}, found.text
    assert "https://gitlab.example.org" in found.seen("OIDC discovery")


def test_scopes_that_gitlab_does_not_have(tampering: Deployment, healthy: Gateway) -> None:
    tampering.gitlab.tamper(discovery={"scopes_supported": sorted(SCOPES - {"api"})})
    found = tampering.diagnosis(healthy)
    assert found.wrong == {"OAuth scopes"}, found.text


def test_an_application_with_another_secret(deployment: Deployment, healthy: Gateway) -> None:
    secret = "not the secret of that application"
    found = deployment.diagnosis(healthy, settings={"GITLAB_OAUTH_CLIENT_SECRET": secret})
    assert found.wrong == {"OAuth application"}, found.text
    assert secret not in found.text


def test_a_token_that_reads_what_it_should_not(deployment: Deployment, healthy: Gateway) -> None:
    deployment.gitlab.create_project("shared/more")
    deployment.gitlab.add_member("shared/more", "ann", GUEST)
    found = deployment.diagnosis(healthy, project_of_others="shared/more")
    assert found.wrong == {"project of others"}, found.text


def test_a_token_without_its_project(deployment: Deployment, healthy: Gateway) -> None:
    found = deployment.diagnosis(healthy, project="others/secret", project_of_others="")
    assert found.wrong == {"own project"}, found.text


def test_a_project_at_the_address_of_a_route(deployment: Deployment, healthy: Gateway) -> None:
    deployment.gitlab.create_project("static-files/site")
    found = deployment.diagnosis(healthy)
    deployment.gitlab.delete_project("static-files/site")
    assert found.wrong == {"shadowed groups"}, found.text
    assert "static-files/site" in found.seen("shadowed groups")


def test_a_workspace_whose_project_is_gone(deployment: Deployment, healthy: Gateway) -> None:
    number = deployment.gitlab.create_project("acme/short-lived")
    made = deployment.mlflow.ask(
        "POST", "/api/2.0/mlflow/experiments/create", project(number), {"name": "left"}
    )
    assert made.status == 200, made.body
    assert deployment.diagnosis(healthy).wrong == set()
    deployment.gitlab.delete_project("acme/short-lived")
    found = deployment.diagnosis(healthy)
    assert found.wrong == {"orphan workspaces"}, found.text
    assert f"p{number} (1)" in found.seen("orphan workspaces")
    with closing(sqlite3.connect(deployment.mlflow.folder / "mlflow.db")) as database, database:
        database.execute("DELETE FROM experiments WHERE workspace = ?", (f"p{number}",))


def test_content_that_was_never_moved_into_a_project(
    deployment: Deployment, healthy: Gateway, tmp_path: Path
) -> None:
    copy = Path(copyfile(deployment.mlflow.folder / "mlflow.db", tmp_path / "copy.db"))
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute(
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, workspace)"
            " VALUES (77, 'old (101)', 'active', 'default')"
        )
    found = deployment.diagnosis(healthy, database=f"sqlite:///{copy}")
    assert found.wrong == {"orphan workspaces"}, found.text
    assert "extauthz migrate" in found.seen("orphan workspaces")


def test_a_database_of_another_gitlab(deployment: Deployment, healthy: Gateway) -> None:
    found = deployment.diagnosis(healthy, settings={"INSTANCE_ID": "gitlab.example.org"})
    assert found.wrong == {"database's GitLab"}, found.text
    assert "INSTANCE_ID=gitlab.test" in found.seen("database's GitLab")


@pytest.mark.parametrize("address", ["sqlite:////nowhere/mlflow.db", "not an address", "x://a:b@c"])
def test_a_database_that_is_not_there(
    address: str, deployment: Deployment, healthy: Gateway
) -> None:
    found = deployment.diagnosis(healthy, database=address)
    assert found.wrong == set(), found.text
    assert {"database's GitLab", "orphan workspaces"} <= found.untested
    assert "a:b@c" not in found.text


def test_a_token_that_gitlab_does_not_take(deployment: Deployment, healthy: Gateway) -> None:
    found = deployment.diagnosis(healthy, settings={"GITLAB_SERVICE_TOKEN": "glpat-of-nobody"})
    assert found.wrong == set(), found.text
    assert "shadowed groups" in found.untested


async def test_a_clock_that_is_off_here(deployment: Deployment, healthy: Gateway) -> None:
    site, connect = Site.of(deployment.url), Address.parse(f"127.0.0.1:{healthy.port}")
    async with opened(site, connect) as wire:
        known = Known(wire=wire, site=site, now=lambda: time.time() + 3_600)
        verdict = await clocks(known)
    assert verdict.status is Status.FAIL
    assert "GitLab -3" in verdict.seen


async def test_a_clock_of_gitlab_that_is_off(deployment: Deployment, healthy: Gateway) -> None:
    site, connect = Site.of(deployment.url), Address.parse(f"127.0.0.1:{healthy.port}")
    async with opened(site, connect) as wire, server_of_1970() as url:
        verdict = await clocks(Known(wire=wire, site=site, gitlab=url))
    assert verdict.status is Status.FAIL
    assert "GitLab -" in verdict.seen


def test_sharinghub_at_another_domain(deployment: Deployment, tmp_path: Path) -> None:
    """Its cookie is for its own host, and never sent to ours."""
    url = f"http://localhost:{free_port()}"
    mlflow_url = f"http://127.0.0.1:{deployment.mlflow.port}"
    with (
        SharingHub.start() as hub,
        edge(
            tmp_path,
            sharinghub_url=hub.url,
            mlflow_url=mlflow_url,
            settings=SETTINGS | {"PUBLIC_URL": url},
        ) as authorizer,
        gateway(tmp_path, authorizer, deployment.mlflow.port) as through,
    ):
        foreign = by_hub(deployment, through, url, hub.url)
        near = by_hub(deployment, through, url, hub.url.replace("127.0.0.1", "localhost"))
    assert foreign.wrong == {"SharingHub cookie domain"}, foreign.text
    assert near.wrong == set(), near.text
    assert "/auth/login leads to SharingHub" in near.seen("auth pages")


def by_hub(deployment: Deployment, through: Gateway, url: str, hub: str) -> Diagnosis:
    nobody = dict.fromkeys(deployment.settings, "") | {"GITLAB_SERVICE_TOKEN": ""}
    unknown = {"token_file": None, "database": "", "mlflow": ""}
    return deployment.diagnosis(
        through, url=url, settings=nobody | {"SHARINGHUB_URL": hub}, **unknown
    )


@asynccontextmanager
async def server_of_1970() -> AsyncIterator[str]:
    """Serve with a clock that never moved, until the block ends."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(headers={"Date": "Thu, 01 Jan 1970 00:00:00 GMT"})

    app, port = web.Application(), free_port()
    app.router.add_get("/{rest:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
