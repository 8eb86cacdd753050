"""What is added to MLflow's page, without MLflow's server."""

import json
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from extauthz.edge.routes import is_mlflow, is_public
from extauthz.grant import Grant, Links, View, Why
from extauthz.levels import Role
from extauthz.plugin.context import acting_under
from extauthz.plugin.gate import PROJECTS, refused
from extauthz.plugin.page import (
    GATEWAY,
    PAGE,
    SCRIPT,
    TAG,
    VIEW,
    OtherOrigins,
    add_to,
    page_in,
    script,
    shown,
)
from extauthz.plugin.refusals import Refusal
from extauthz.plugin.rules import FLASK, NATIVE

HUB = "https://hub.example.org"
LINKS = Links(project="https://gitlab.test/a/b", home="https://m.test/", logout="https://m.test/x")
PUBLIC = Grant(view=View.PUBLIC, instance="i")
STOCK = b'<!doctype html><html><head><title>MLflow</title></head><body><div id="root"></div></body>'
# What MLflow answers itself, wherever none of ours is asked for.
REST = b"the rest"


def in_project(role: Role = Role.READ, why: Why | None = None) -> Grant:
    return Grant(
        view=View.PROJECT,
        instance="i",
        role=role,
        why=why,
        name="Ann",
        project_id=1,
        project_path="a/b",
        links=LINKS,
    )


def everything(why: Why = Why.GLOBAL) -> Grant:
    return Grant(view=View.GLOBAL, instance="i", why=why, name="Ann", links=LINKS, projects=(3, 5))


@pytest.fixture
def stock() -> Path:
    """Return the folder of the installed MLflow's page."""
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "server" / "js" / "build"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header, of which there is one or none."""
        values = [value for each, value in self.headers if each == name]
        assert len(values) <= 1, values
        return values[0] if values else None


@dataclass(slots=True)
class Server:
    """MLflow's server as far as it matters here, with the page added."""

    folder: Path
    framed_by: Sequence[str] = ()
    added: Sequence[tuple[bytes, bytes]] = ()
    app: FastAPI = field(init=False)

    def __post_init__(self) -> None:
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.add_exception_handler(Refusal, _refused)
        self.app.mount("/", self._rest)
        add_to(self.app, self.folder, framed_by=self.framed_by)

    async def ask(
        self,
        path: str,
        grant: Grant | None = None,
        *headers: tuple[str, str],
        method: str = "GET",
    ) -> Answer:
        sent: list[MutableMapping[str, Any]] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        raw = [(name.encode(), value.encode()) for name, value in headers]
        asked = {"type": "http", "method": method, "path": path, "headers": raw}
        scope = {**asked, "query_string": b"", "http_version": "1.1", "root_path": ""}
        if grant is None:
            await self.app(scope, receive, send)
        else:
            with acting_under(grant):
                await self.app(scope, receive, send)
        named = [(name.decode().lower(), value.decode()) for name, value in sent[0]["headers"]]
        body = b"".join(message.get("body", b"") for message in sent)
        return Answer(sent[0]["status"], named, body)

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [*self.added]})
        await send({"type": "http.response.body", "body": REST})


async def _refused(_: Request, refusal: Any) -> JSONResponse:
    return refused(refusal)


def written(folder: Path, page: bytes) -> Path:
    (folder / "index.html").write_bytes(page)
    return folder


def test_the_page_of_the_installed_mlflow_gets_one_line_and_is_else_as_it_was(stock: Path) -> None:
    page = page_in(stock)

    assert page is not None
    before, tag, after = page.partition(TAG)
    assert before + after == (stock / "index.html").read_bytes()
    assert tag == b'<script src="static-files/extauthz.js" defer></script>'
    # Deferred scripts run in their order: what this one sets is there when MLflow's own starts.
    assert before.endswith(b"<head>")
    assert b'<script defer="defer" src="static-files/static/js/main.' in after
    # Nothing of MLflow's has the name.
    assert not (stock / "extauthz.js").exists()


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"Unable to display MLflow UI",
        STOCK.replace(b"<head>", b""),
        STOCK.replace(b"<head>", b'<head class="x">'),
        STOCK.replace(b"<head>", b"<head><!-- <head> -->"),
        STOCK.replace(b"</head>", b""),
        STOCK.replace(b"</head>", b"</HEAD>"),
        STOCK.replace(b"</head>", b"</head><!-- -->"),
        STOCK.replace(b"<title>", b"<script>'</head><body>'</script><title>"),
        STOCK.replace(b"<title>", b"<script>'</head>'</script><title>"),
        STOCK.replace(b"<body>", b""),
        STOCK.replace(b"<body>", b'<body class="x">'),
        STOCK.replace(b'id="root"', b'id="app"'),
        STOCK + STOCK,
        STOCK.decode().encode("utf-16"),
    ],
)
async def test_a_page_of_another_shape_is_left_to_mlflow(page: bytes, tmp_path: Path) -> None:
    with capture_logs() as logs:
        server = Server(written(tmp_path, page))
        for _ in range(2):
            assert (await server.ask(PAGE, in_project())).body == REST

    assert [line["event"] for line in logs] == ["page.unknown"]
    assert (await server.ask(SCRIPT, PUBLIC)).body == script()


def test_no_page_at_all_is_one_of_another_shape(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert page_in(tmp_path / "nowhere") is None
    assert [line["event"] for line in logs] == ["page.unknown"]


def test_spaces_between_the_two_make_no_difference(tmp_path: Path) -> None:
    page = STOCK.replace(b"</head>", b"</head>\n  ")
    assert page_in(written(tmp_path, page)) == page.replace(b"<head>", b"<head>" + TAG)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (None, "Developer or above."),
        (Why.GUEST, "Developer or above."),
        (Why.ARCHIVED, "archived"),
        (Why.TOKEN, "`api`"),
        (Why.VISITOR, "not a member"),
        (Why.STALE, "GitLab cannot be reached"),
    ],
)
def test_a_reader_of_a_project_is_shown_why_he_only_reads(why: Why | None, words: str) -> None:
    told = shown(in_project(why=why))

    assert words in told.pop("why")
    assert told == {
        "view": "project",
        "project": "a/b",
        "role": "read",
        "name": "Ann",
        "links": {
            "project": "https://gitlab.test/a/b",
            "home": "https://m.test/",
            "logout": "https://m.test/x",
        },
    }


def test_a_writer_is_shown_no_reason() -> None:
    told = shown(in_project(Role.WRITE))

    assert (told["role"], told["why"], told["project"]) == ("write", "", "a/b")


@pytest.mark.parametrize(
    ("why", "words"), [(Why.GLOBAL, "all projects together"), (Why.STALE, "cannot be reached")]
)
def test_the_view_of_everything_names_no_project(why: Why, words: str) -> None:
    told = shown(everything(why))

    assert (told["view"], told["role"], told["project"]) == ("global", "read", "")
    assert words in told["why"]
    assert told["links"]["home"] == "https://m.test/"


@pytest.mark.parametrize("grant", [in_project(), in_project(Role.WRITE), everything()])
async def test_the_view_is_what_the_grant_says_and_nobody_keeps_it(
    grant: Grant, tmp_path: Path
) -> None:
    server = Server(written(tmp_path, STOCK))

    answer = await server.ask(VIEW, grant)

    assert (answer.status, json.loads(answer.body)) == (200, shown(grant))
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    # Neither which projects there are, nor any of their ids.
    assert not {"projects", "subject", "instance"} & set(shown(grant))


@pytest.mark.parametrize("grant", [in_project(), in_project(Role.WRITE), everything()])
async def test_there_is_no_gateway(grant: Grant, tmp_path: Path) -> None:
    """MLflow's list of runs shows an error unless it is told."""
    answer = await Server(written(tmp_path, STOCK)).ask(GATEWAY, grant)

    assert (answer.status, json.loads(answer.body)) == (200, {"endpoints": []})
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("path", [VIEW, PAGE, GATEWAY])
@pytest.mark.parametrize("grant", [None, PUBLIC, Grant(view=View.SYSTEM, instance="i")])
async def test_who_sees_no_projects_sees_no_page(
    path: str, grant: Grant | None, tmp_path: Path
) -> None:
    answer = await Server(written(tmp_path, STOCK)).ask(path, grant)

    assert (answer.status, json.loads(answer.body)["error_code"]) == (403, "PERMISSION_DENIED")
    assert answer.header("cache-control") == "no-store"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "kind"),
    [(PAGE, "text/html; charset=utf-8"), (SCRIPT, "text/javascript; charset=utf-8")],
)
async def test_page_and_script_are_asked_about_again_and_sent_if_they_changed(
    path: str, kind: str, method: str, tmp_path: Path
) -> None:
    server = Server(written(tmp_path, STOCK))
    first = await server.ask(path, everything(), method=method)
    etag = first.header("etag") or ""

    assert first.status == 200
    assert first.header("content-type") == kind
    assert first.header("cache-control") == "no-cache"
    assert int(first.header("content-length") or 0) == len(first.body) > 50
    for known in (etag, f"W/{etag}", f'"other", {etag}'):
        again = await server.ask(path, everything(), ("if-none-match", known), method=method)
        assert (again.status, again.body, again.header("etag")) == (304, b"", etag)
        # What a browser learns then replaces what it was told before (RFC 9111, 4.3.4).
        assert again.header("content-security-policy") == "frame-ancestors 'self'"
    for unknown in ('"other"', etag[:-2] + '"', "*"):
        sent = await server.ask(path, everything(), ("if-none-match", unknown), method=method)
        assert (sent.status, sent.body) == (200, first.body)


async def test_the_script_is_everybodys(tmp_path: Path) -> None:
    answer = await Server(written(tmp_path, STOCK)).ask(SCRIPT, PUBLIC)

    assert (answer.status, answer.body) == (200, script())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [VIEW, SCRIPT, PAGE, GATEWAY])
async def test_they_are_only_read(method: str, path: str, tmp_path: Path) -> None:
    answer = await Server(written(tmp_path, STOCK)).ask(path, in_project(Role.WRITE), method=method)

    assert answer.body == REST


@pytest.mark.parametrize("path", [f"{VIEW}/", f"/{VIEW}", VIEW.upper(), f"{SCRIPT}/", "//", "/x"])
async def test_everything_else_is_mlflows(path: str, tmp_path: Path) -> None:
    assert (await Server(written(tmp_path, STOCK)).ask(path, in_project())).body == REST


@pytest.mark.parametrize("framed_by", [(), (HUB,), (HUB, "https://lab.example.org")])
@pytest.mark.parametrize("path", [PAGE, VIEW, SCRIPT, "/mlflows"])
@pytest.mark.parametrize("grant", [in_project(), PUBLIC, None])
async def test_every_answer_says_who_may_show_it_in_a_frame(
    framed_by: Sequence[str], path: str, grant: Grant | None, tmp_path: Path
) -> None:
    stock = [(b"x-frame-options", b"SAMEORIGIN"), (b"x-frame-options", b"DENY"), (b"a", b"b")]
    server = Server(written(tmp_path, STOCK), framed_by=framed_by, added=stock)

    answer = await server.ask(path, grant)

    policy = " ".join(["frame-ancestors 'self'", *framed_by])
    assert answer.header("content-security-policy") == policy
    assert answer.header("x-frame-options") is None
    assert (answer.body != REST) or answer.header("a") == "b"


async def test_no_other_origin_is_let_read_anything(tmp_path: Path) -> None:
    stock = [
        (b"access-control-allow-origin", b"http://localhost:3000"),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    ]
    answer = await Server(written(tmp_path, STOCK), added=stock).ask("/mlflows", in_project())

    assert [name for name, _ in answer.headers] == ["vary", "content-security-policy"]


async def test_a_policy_of_mlflows_own_stays_in_force(tmp_path: Path) -> None:
    added = [(b"content-security-policy", b"script-src 'self'")]
    server = Server(written(tmp_path, STOCK), added=added)

    answer = await server.ask("/mlflows", in_project())

    policies = [value for name, value in answer.headers if name == "content-security-policy"]
    assert policies == ["script-src 'self'", "frame-ancestors 'self'"]


async def test_what_is_no_answer_passes_as_it_is() -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "lifespan.startup.complete"})

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nothing is received")

    await OtherOrigins(app, framed_by=[HUB])({"type": "lifespan"}, receive, send)

    assert sent == [{"type": "lifespan.startup.complete"}]


def test_every_path_of_the_plugin_leads_to_it_through_the_edge() -> None:
    paths = {path for _, path in (*FLASK, *NATIVE)} | {GATEWAY, PAGE, SCRIPT, VIEW}
    # Where a path names things, any name.
    named = {path.replace("<", "").replace(">", "").replace("{", "") for path in paths}

    assert {path for path in named if not is_mlflow(path)} == set()
    assert is_public("GET", SCRIPT)
    assert not is_public("GET", VIEW)


def test_the_list_of_projects_is_asked_for_by_the_edge_alone() -> None:
    assert not is_mlflow(PROJECTS)
