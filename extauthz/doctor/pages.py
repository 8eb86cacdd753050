"""What is reached without a credential: pages, files and versions; and what must not be."""

import asyncio
from typing import Final
from urllib.parse import parse_qs, urlsplit

from extauthz.doctor.deployment import Deployment, Probes
from extauthz.doctor.finding import Verdict, down, failed, passed, unchecked, untested
from extauthz.doctor.wire import Answer, Unreachable

SUPPORTED: Final = "3.17."
_PATIENCE: Final = 8.0
_SCRIPT: Final = "/static-files/extauthz.js"
_PUBLIC: Final = ("/health", "/version", _SCRIPT)
_PAGES: Final = {"/auth/": 401, "/auth/logout": 200}
_OK, _FOUND, _NOT_FOUND, _SWITCHING = 200, 302, 404, 101
_PAST: Final = b"This page can only be reached through Envoy"
_NO_LOGIN: Final = "There is no browser login here"
_HTML: Final = ("Accept", "text/html")
_UPGRADE: Final = (
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "ZXh0YXV0aHogZG9jdG9yIQ=="),
)


async def reachable(deployment: Deployment) -> Verdict:
    """See whether anybody is there."""
    remedy = "Look at the address, at --connect, and whether Envoy runs."
    try:
        async with asyncio.timeout(_PATIENCE):
            answer = await deployment.ask("GET", "/health")
    except Unreachable as trouble:
        return failed(str(trouble), remedy)
    except TimeoutError:
        return failed(f"{deployment.public_url} does not answer in {_PATIENCE:.0f} s", remedy)
    if answer.is_trouble:
        return failed(
            f"{deployment.public_url}/health: {answer.short}",
            "Look at the logs of Envoy (outcome, flags), of the edge and of MLflow.",
        )
    return passed(f"{deployment.public_url} answers")


async def static_files(deployment: Deployment) -> Verdict:
    """See whether what is public is there for everybody."""
    answers = {path: await deployment.ask("GET", path) for path in _PUBLIC}
    if all(answer.status == _OK for answer in answers.values()):
        return passed(f"{', '.join(_PUBLIC)} need no credential")
    if troubles := [answer.short for answer in answers.values() if answer.is_trouble]:
        return down(troubles[0])
    if any(answer.passed_the_edge_by for answer in answers.values()):
        return unchecked()
    if answers[_SCRIPT].status == _NOT_FOUND:
        return failed(
            f"MLflow does not know {_SCRIPT}, so it runs without the plugin",
            "Start MLflow with --app-name extauthz.",
        )
    wrong = [f"{path}: {answer.short}" for path, answer in answers.items() if answer.status != _OK]
    return failed(
        f"not for everybody: {'; '.join(wrong)}",
        "Have Envoy ask the edge about these as well: it lets them pass, with a grant, and MLflow "
        "serves nothing without one.",
    )


async def auth_pages(deployment: Deployment) -> Verdict:
    """See whether people find the way in."""
    way_in = await deployment.way_in()
    if way_in.message.startswith(_NO_LOGIN):
        return untested("nobody signs in here: GITLAB_OAUTH_CLIENT_ID is not set")
    if way_in.status != _FOUND or not way_in.location:
        return _no_pages("/auth/login", way_in)
    if "/api/auth/login?" in way_in.location:
        return _by_sharinghub(deployment, way_in)
    for path, status in _PAGES.items():
        if (answer := await deployment.ask("GET", path, [_HTML])).status != status:
            return _no_pages(path, answer)
    return passed("/auth/login leads to GitLab, and the other pages are there")


async def web_socket(deployment: Deployment) -> Verdict:
    """See whether a connection can be turned into one that nobody checks any more."""
    answer = await deployment.ask("GET", "/version", _UPGRADE)
    if answer.status == _SWITCHING:
        return failed(
            "a WebSocket is opened",
            "Take upgrade_configs out of Envoy's configuration: MLflow has no use for them.",
        )
    if answer.is_trouble:
        return down(answer.short)
    return passed(f"an upgrade to WebSocket is answered with {answer.status}")


async def mlflow_version(deployment: Deployment) -> Verdict:
    """See whether MLflow is a release that the plugin knows."""
    answer = await deployment.ask("GET", "/version")
    text = answer.body.decode("ascii", "replace").strip()
    if answer.status != _OK or not text[:1].isdigit():
        return untested(f"/version: {answer.short}")
    if not text.startswith(SUPPORTED):
        return failed(
            f"MLflow {text[:20]} has other routes and tables than the plugin knows",
            f"Install MLflow {SUPPORTED}x: pip install 'extauthz[mlflow]'.",
        )
    return passed(f"MLflow {text}")


def _no_pages(path: str, answer: Answer) -> Verdict:
    if _PAST in answer.body:
        return failed(
            f"{path} is reached past the check",
            "Have Envoy ask the edge about the pages, too: exempt no route.",
        )
    if answer.passed_the_edge_by:
        return unchecked()
    if answer.is_trouble:
        return down(answer.short)
    return failed(
        f"{path}: {answer.short}",
        "Have Envoy route /auth, /auth/, /auth/login, /auth/authorize and /auth/logout to the "
        "edge's pages (port 9001), each below the path of PUBLIC_URL.",
    )


def _by_sharinghub(deployment: Deployment, way_in: Answer) -> Verdict:
    back = parse_qs(urlsplit(way_in.location).query).get("redirect_uri", [""])[0]
    if not back.startswith(f"{deployment.public_url}/"):
        return failed(
            f"SharingHub is told to send people to {back}",
            f"Set PUBLIC_URL of the edge to {deployment.public_url}.",
        )
    return passed("/auth/login leads to SharingHub and back")


PROBES: Final[Probes] = {
    "answers": reachable,
    "static files": static_files,
    "auth pages": auth_pages,
    "WebSocket": web_socket,
    "MLflow version": mlflow_version,
}
