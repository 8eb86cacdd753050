"""What extauthz adds to the real MLflow's page, and what other hosts and origins can do with it."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPMessage

import pytest

from extauthz.grant import HEADER, Grant, Links, View, Why
from extauthz.levels import Role
from extauthz.plugin.gate import PROJECTS
from extauthz.plugin.page import GATEWAY, SCRIPT, TAG, VIEW, script, shown
from tests.plugin.world import API, ARTIFACTS, World, build
from tests.servers.mlflow import INSTANCE, PUBLIC, SYSTEM, MLflow, everything, mlflow, project

HUB, LAB, OURS = "https://hub.example.org", "https://lab.example.org", "https://mlflow.example.org"
POLICY = f"frame-ancestors 'self' {HUB} {LAB}"
SEARCH = f"{API}/experiments/search?max_results=5"


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflow]:
    """Return an MLflow that two other sites show in a frame, and whose operator meant none to."""
    env = {
        "FRAME_ANCESTORS": f"{HUB},{LAB}",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": OURS,
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
    }
    with mlflow(tmp_path_factory.mktemp("framed"), env=env, measured=True) as running:
        yield running


@pytest.fixture(scope="module")
def holds(framed: MLflow) -> World:
    return build(framed, 7)


def sent(
    server: MLflow, method: str, path: str, grant: Grant, **headers: str
) -> tuple[int, HTTPMessage, bytes]:
    """Send a request with these headers, Host included, and no others."""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        given = {"Host": f"127.0.0.1:{server.port}", HEADER: server.signer.sign(grant)}
        for name, value in (given | headers).items():
            connection.putheader(name.replace("_", "-"), value)
        body = json.dumps({"max_results": 5}).encode() if method == "POST" else b""
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize("grant", [project(7), project(8, Role.READ, Why.GUEST), everything(7)])
def test_the_page_loads_the_script(framed: MLflow, grant: Grant) -> None:
    status, headers, page = sent(framed, "GET", "/", grant)

    assert status == 200
    assert page.count(TAG) == page.count(b"extauthz") == 1
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert int(headers["content-length"]) == len(page)
    (source,) = re.findall(rb'src="([^"]+extauthz[^"]+)"', page)
    assert sent(framed, "GET", f"/{source.decode()}", PUBLIC)[2] == script()


@pytest.mark.parametrize("path", ["/", SCRIPT])
def test_they_are_sent_again_only_if_they_changed(framed: MLflow, path: str) -> None:
    _, headers, content = sent(framed, "GET", path, project(7))
    etag = headers["etag"]

    status, only, body = sent(framed, "HEAD", path, project(7))
    assert (status, body, only["etag"]) == (200, b"", etag)
    assert int(only["content-length"]) == len(content)
    for method in ("GET", "HEAD"):
        status, again, body = sent(framed, method, path, project(7), If_None_Match=etag)
        assert (status, body, again["etag"]) == (304, b"", etag)
    assert sent(framed, "GET", path, project(7), If_None_Match='"other"')[2] == content


@pytest.mark.parametrize(
    "grant",
    [
        project(7),
        project(7, Role.READ, Why.ARCHIVED),
        project(4711, Role.READ, Why.STALE),
        everything(7, 4711),
        everything(),
        Grant(
            view=View.PROJECT,
            instance=INSTANCE,
            project_id=7,
            project_path="group/<b>",
            name='"</script>\u2028é',
            links=Links(project="https://gitlab.test/x", home=f"{OURS}/", logout=f"{OURS}/out"),
        ),
    ],
)
def test_the_view_is_what_the_grant_says(framed: MLflow, grant: Grant) -> None:
    status, headers, body = sent(framed, "GET", VIEW, grant)

    assert (status, json.loads(body)) == (200, shown(grant))
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    status, headers, nothing = sent(framed, "HEAD", VIEW, grant)
    assert (status, nothing, int(headers["content-length"])) == (200, b"", len(body))


@pytest.mark.parametrize(
    ("path", "grant"),
    [
        *((path, PUBLIC) for path in ("/", VIEW, PROJECTS)),
        *((path, SYSTEM) for path in ("/", VIEW, SCRIPT)),
        *((PROJECTS, grant) for grant in (project(7), everything(7))),
        *((f"{VIEW}{more}", project(7)) for more in ("/", "s", "/x")),
    ],
)
def test_nobody_else_gets_it_and_it_opens_nothing_else(
    framed: MLflow, path: str, grant: Grant
) -> None:
    status, _, body = sent(framed, "GET", path, grant)
    assert (status, json.loads(body)["error_code"]) == (403, "PERMISSION_DENIED")


def test_there_is_no_gateway_whatever_the_operator_has_set_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """MLflow would send what the query names on to it, with the secrets of the server."""
    target = {"MLFLOW_DEPLOYMENTS_TARGET": "http://127.0.0.1:9/"}
    with mlflow(tmp_path_factory.mktemp("gateway"), env=target, measured=True) as server:
        for query in ("", "?gateway_path=api%2F2.0%2Fendpoints%2F"):
            for grant in (project(7), everything(7)):
                answer = server.ask("GET", f"{GATEWAY}{query}", grant)
                assert (answer.status, answer.json) == (200, {"endpoints": []})
            for nobody in (PUBLIC, SYSTEM, None):
                assert server.ask("GET", f"{GATEWAY}{query}", nobody).status == 403
        asked = {"gateway_path": "api/2.0/endpoints/"}
        for path in (GATEWAY, f"/{GATEWAY}", GATEWAY.replace("/ajax-api", "/api")):
            assert server.ask("POST", path, project(7), asked).status == 403
        assert server.ask("GET", f"/{GATEWAY}?gateway_path=x", project(7)).status == 403


@pytest.mark.parametrize("path", ["/", VIEW, SCRIPT, GATEWAY])
def test_without_a_grant_there_is_none_of_it(framed: MLflow, path: str) -> None:
    assert framed.ask("GET", path).status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", [VIEW, SCRIPT, "/", GATEWAY])
def test_none_of_it_is_written(framed: MLflow, method: str, path: str) -> None:
    assert sent(framed, method, path, project(7))[0] in (403, 405)


def test_every_answer_names_those_who_may_show_it_in_a_frame(framed: MLflow, holds: World) -> None:
    """Threat 122."""
    stored = f"{ARTIFACTS}/{holds.files}/page.html"
    assert framed.ask("PUT", stored, holds.grant, b"<h1>x</h1>").status == 200
    renderer = "/static-files/lib/notebook-trace-renderer/index.html"
    for method, path, grant, expected in (
        ("GET", "/", holds.grant, 200),
        ("HEAD", "/", holds.grant, 200),
        ("GET", VIEW, holds.grant, 200),
        ("GET", SCRIPT, PUBLIC, 200),
        # MLflow lets everybody show this one, with data that an address brings along.
        ("GET", f"{renderer}?trace_id=x", PUBLIC, 200),
        ("GET", "/static-files/favicon.ico", PUBLIC, 200),
        ("GET", SEARCH, holds.grant, 200),
        ("GET", stored, holds.grant, 200),
        ("GET", f"/get-artifact?run_uuid={holds.run}&path=page.html", holds.grant, 200),
        ("GET", f"{API}/runs/get?run_id=none", holds.grant, 404),
        ("GET", "/nothing/here", holds.grant, 403),
        ("GET", "/", PUBLIC, 403),
    ):
        status, headers, _ = sent(framed, method, path, grant)
        assert status == expected, path
        assert headers.get_all("content-security-policy") == [POLICY], path
        assert "x-frame-options" not in headers, path


@pytest.mark.parametrize("path", ["/", VIEW, SCRIPT, SEARCH, "/graphql"])
@pytest.mark.parametrize(
    "host",
    ["192.168.evil.com", "10.evil.com", "mlflow.example.org", "localhost:{port}", "127.0.0.1", ""],
)
def test_another_host_is_refused(framed: MLflow, path: str, host: str) -> None:
    """Threat 121: stock MLflow takes the first two for private addresses."""
    method = "POST" if path == "/graphql" else "GET"
    status, _, body = sent(framed, method, path, project(7), Host=host.format(port=framed.port))
    assert status == 403
    assert b"Invalid Host" in body


@pytest.mark.parametrize(
    "path", [f"{API}/experiments/search", "/ajax-api/2.0/mlflow/experiments/search"]
)
def test_the_pages_of_the_public_host_may_change_things_and_others_may_not(
    framed: MLflow, path: str
) -> None:
    """Threat 121."""
    for origin, expected in (
        (OURS, 200),
        (HUB, 403),
        ("https://mlflow.example.org.evil.com", 403),
        ("https://mlflow.example.org:8443", 403),
        ("http://mlflow.example.org", 403),
        ("null", 403),
    ):
        status, _, _ = sent(framed, "POST", path, project(7), Origin=origin)
        assert status == expected, origin


@pytest.mark.parametrize("origin", [OURS, HUB, "http://localhost:3000", "http://127.0.0.1", "null"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_no_page_of_another_origin_reads_anything(framed: MLflow, origin: str, method: str) -> None:
    """Stock MLflow lets those of this machine, whoever serves them."""
    for path in ("/", VIEW, SCRIPT, SEARCH, "/graphql"):
        _, headers, _ = sent(
            framed, method, path, project(7), Origin=origin, Access_Control_Request_Method="POST"
        )
        assert not [name for name in headers if name.lower().startswith("access-control-")], path
