"""The pages through the real Envoy and edge: who sees what on them, and who reaches them."""

import re
from collections.abc import Iterator

import pytest

from extauthz.edge.page import SECURITY_POLICY
from tests.gitlab import DEVELOPER, GUEST
from tests.polling import eventually
from tests.servers.stack import Stack, login_gateway
from tests.tenants import Project, Tenants, unique
from tests.visitor import NAVIGATION, Shown, Visitor, is_page

HOSTILE = (
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    "</bdi></p><form action=//evil.example><button>Sign in</button>",
    "&lt;b&gt; &amp; {{7*7}} ${7*7} <!--",
    "\u202egnp.evil\u2066 \x00 \r\n\r\nSet-Cookie: x=1",
    "x" * 300,
)


@pytest.fixture(scope="module")
def front(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An edge with login."""
    folder = tmp_path_factory.mktemp("pages")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield running


@pytest.fixture
def tenants(front: Stack) -> Tenants:
    return Tenants(front)


def with_data(tenants: Tenants, path: str = "", **properties: object) -> Project:
    """Make a project that has something in MLflow."""
    made = tenants.project(path, **properties)
    made.developer().post("experiments/create", name=unique("experiment"))
    return made


def signed_in(tenants: Tenants, *projects: Project, level: int = GUEST) -> Visitor:
    """Return a member of some projects who has signed in."""
    visitor = Visitor(tenants.stack, tenants.user())
    for each in projects:
        tenants.stack.gitlab.add_member(each.path, visitor.user, level)
    assert visitor.visit("/auth/login").status == 200
    return visitor


def listed(visitor: Visitor) -> list[str]:
    """Return the paths of the projects on the page, in its order."""
    shown = visitor.open("/auth/")
    is_page(shown, 200)
    links = {text: each for text, each in shown.links.items() if text != "All projects together"}
    assert all(each == visitor.url(f"/{path}/tracking/") for path, each in links.items())
    return list(links)


class TestTheProjects:
    def test_are_those_with_data_that_somebody_may_read(self, tenants: Tenants) -> None:
        mine = [with_data(tenants) for _ in range(3)]
        empty, theirs = tenants.project(), with_data(tenants)
        public = with_data(tenants, visibility="public")
        archived = with_data(tenants)
        tenants.stack.gitlab.update_project(archived.path, archived=True)
        visitor = signed_in(tenants, *mine, empty, archived)
        expected = sorted(each.path for each in (*mine, archived))
        eventually(lambda: listed(visitor), expected)
        text = visitor.open("/auth/").text
        for path in (empty.path, theirs.path, public.path):
            assert path not in text.replace("<wbr>", "").replace("<span>", "")
        assert visitor.user in text

    def test_are_each_visitors_own(self, tenants: Tenants) -> None:
        both, one, two = (with_data(tenants) for _ in range(3))
        ann, ben = signed_in(tenants, both, one), signed_in(tenants, both, two)
        for _ in range(2):
            eventually(lambda: listed(ann), sorted([both.path, one.path]))
            eventually(lambda: listed(ben), sorted([both.path, two.path]))
        assert ben.user not in ann.open("/auth/").text

    def test_are_no_more_once_somebody_is_no_member(self, tenants: Tenants) -> None:
        left, stays = with_data(tenants), with_data(tenants)
        visitor = signed_in(tenants, left, stays)
        eventually(lambda: listed(visitor), sorted([left.path, stays.path]))
        tenants.stack.gitlab.remove_member(left.path, visitor.user)
        eventually(lambda: listed(visitor), [stays.path])

    def test_are_none_at_first_and_then_there_is_a_hint(self, tenants: Tenants) -> None:
        visitor = signed_in(tenants, tenants.project())
        shown = visitor.open("/auth/")
        is_page(shown, 200)
        assert not shown.links
        assert "MLFLOW_TRACKING_TOKEN" in shown.text

    def test_are_a_click_away(self, tenants: Tenants) -> None:
        made = [with_data(tenants) for _ in range(2)]
        visitor = signed_in(tenants, *made)
        eventually(lambda: len(listed(visitor)), 2)
        for address in visitor.open("/auth/").links.values():
            assert visitor.open(address).status == 200

    def test_need_a_session(self, tenants: Tenants) -> None:
        nobody = Visitor(tenants.stack, "nobody")
        for address in ("/auth", "/auth/"):
            shown = nobody.open(address)
            is_page(shown, 401)
            assert shown.links == {"Sign in with GitLab": nobody.url("/auth/login")}
        bearer = ("Authorization", f"Bearer {tenants.token(tenants.user())}")
        assert nobody.open("/auth/", headers=(*NAVIGATION, bearer)).status == 401

    def test_are_not_guessed_while_gitlab_is_down(self, tenants: Tenants) -> None:
        made = with_data(tenants)
        visitor = Visitor(tenants.stack, made.member(DEVELOPER))
        visitor.open(visitor.sign_in(visitor.begin()))
        tenants.stack.gitlab.faults("error", path="/api/", status=500)
        try:
            shown = visitor.open("/auth/")
        finally:
            tenants.stack.gitlab.heal()
        is_page(shown, 503)
        assert made.path not in shown.text
        eventually(lambda: visitor.open("/auth/").status, 200)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_the_name_of_a_user_is_text_and_nothing_else(tenants: Tenants, name: str) -> None:
    """Threat 63, threat 15: in the page, in headers and in the session."""
    visitor = Visitor(tenants.stack, tenants.user())
    authorization = visitor.begin()
    tenants.stack.gitlab.tamper(claims={"nickname": name})
    try:
        callback = visitor.sign_in(authorization)
        assert visitor.open(callback).status == 302
    finally:
        tenants.stack.gitlab.tamper()
    asked = visitor.open("/auth/logout")
    is_page(asked, 200)
    assert asked.tags == {
        *("html", "head", "meta", "title", "style", "body", "header", "main"),
        *("h1", "p", "bdi", "div", "form", "button", "a"),
    }
    assert list(asked.links) == ["Stay signed in"]
    assert not asked.cookies


def test_the_name_that_gitlab_tells_with_the_projects_is_text_too(tenants: Tenants) -> None:
    """Threat 63."""
    user = f'{unique("user")}"><script>alert(1)</script>'
    tenants.stack.gitlab.create_user(user)
    made = with_data(tenants)
    tenants.stack.gitlab.add_member(made.path, user, GUEST)
    visitor = Visitor(tenants.stack, user)
    assert visitor.visit("/auth/login").status == 200
    eventually(lambda: listed(visitor), [made.path])
    assert "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;" in visitor.open("/auth/").text


@pytest.mark.parametrize(
    "target",
    [
        "/auth/login?return_to='%22><script>alert(1)</script>",
        "/auth/login?project='%22><script>alert(1)</script>",
        "/auth/?project='%22><script>alert(1)</script>",
        "/auth/logout?project='%22><script>alert(1)</script>&x=</title>",
        "/auth/authorize?state='%22><script>alert(1)</script>&error=<b>x</b>",
        "/a/b/tracking/?x='><script>alert(1)</script>&y=%22",
        "/a/'b'/tracking/",
    ],
)
def test_what_is_asked_for_is_text_and_nothing_else(front: Stack, target: str) -> None:
    """Threat 63: script injection in the login page of the older plugin."""
    shown = Visitor(front, "nobody").open(target)
    assert "alert(1)" not in shown.text or "<script" not in shown.text
    if not shown.location:
        is_page(shown, shown.status)
        assert {each.partition("?")[0] for each in shown.links.values()} <= {
            *(f"{front.public_url}{path}" for path in ("/auth/", "/auth/login")),
            front.gitlab.url,
        }


class TestANumber:
    def test_leads_to_the_project(self, tenants: Tenants) -> None:
        made = tenants.project()
        visitor = signed_in(tenants, made)
        shown = visitor.open(f"/auth/p/{made.id}")
        assert (shown.status, shown.location) == (302, visitor.url(f"/{made.path}/tracking/"))
        assert shown.header("cache-control") == "private, no-store"
        assert visitor.visit(f"/auth/p/{made.id}?x=//evil.example").status == 200

    def test_leads_to_where_the_project_is_now(self, tenants: Tenants) -> None:
        made = tenants.project()
        visitor = signed_in(tenants, made)
        path = f"{unique('group')}/moved"
        tenants.stack.gitlab.move_project(made.path, path)
        assert visitor.open(f"/auth/p/{made.id}").location == visitor.url(f"/{path}/tracking/")

    def test_of_somebody_elses_or_of_none_leads_nowhere(self, tenants: Tenants) -> None:
        theirs, public = tenants.project(), tenants.project(visibility="public")
        visitor = signed_in(tenants, tenants.project())
        numbers = (theirs.id, public.id, 987_654_321, 0, 9_999_999_999_999_999_999)
        answers = [visitor.open(f"/auth/p/{number}") for number in numbers]
        for shown in answers:
            is_page(shown, 404)
            assert theirs.path not in shown.text
            assert not shown.location
        assert len({re.sub("Request [0-9a-f-]+", "", shown.text) for shown in answers}) == 1

    @pytest.mark.parametrize(
        "name", ["", "x", "-1", "1.5", "1/", "1/x", "+1", "%31", "1%20", "%D9%A7", "1" * 20, "p/1"]
    )
    def test_that_is_none_is_no_page(self, tenants: Tenants, name: str) -> None:
        visitor = signed_in(tenants)
        shown = visitor.open(f"/auth/p/{name}")
        assert shown.status in (400, 404)
        assert not shown.location

    def test_needs_a_session_and_shows_the_way_to_one(self, tenants: Tenants) -> None:
        """Such links are in answers that are passed on to others."""
        made = tenants.project()
        visitor = Visitor(tenants.stack, made.member(GUEST))
        shown = visitor.open(f"/auth/p/{made.id}")
        is_page(shown, 401)
        assert list(shown.links) == ["Sign in with GitLab"]
        arrived = visitor.visit(shown.links["Sign in with GitLab"])
        assert (arrived.status, arrived.url) == (200, visitor.url(f"/{made.path}/tracking/"))


class TestEveryPage:
    @pytest.fixture
    def pages(self, tenants: Tenants) -> list[Shown]:
        made = tenants.project()
        visitor, nobody = signed_in(tenants, made), Visitor(tenants.stack, "nobody")
        addresses = (
            *("/auth", "/auth/", "/auth/logout", "/auth/authorize", "/auth/authorize?state=x"),
            *("/auth/p/987654321", "/a/b/tracking/", "/a/b/tracking/?x=1", "/nowhere", "/auth/x"),
            *("/", "/;x", "/a/b/tracking/auth/x"),
        )
        shown = [each.open(address) for each in (visitor, nobody) for address in addresses]
        shown += [visitor.post("/auth/logout", origin="null"), visitor.post("/auth/", origin=None)]
        # MLflow's own page, the global view, is not one of ours.
        return [each for each in shown if each.status != 200 or "/auth" in each.url]

    def test_runs_nothing_and_cannot_be_framed(self, pages: list[Shown]) -> None:
        assert len(pages) > 24
        for shown in pages:
            is_page(shown, shown.status)
        directives = dict(each.split(" ", 1) for each in SECURITY_POLICY.split("; "))
        assert directives["default-src"] == directives["base-uri"] == "'none'"
        assert directives["frame-ancestors"] == "'none'"
        assert directives["form-action"] == "'self'"
        assert "unsafe" not in SECURITY_POLICY
        assert not [name for name in directives if "script" in name]

    def test_says_so_of_a_method_that_it_does_not_know(self, front: Stack) -> None:
        visitor = Visitor(front, "nobody")
        named = (*NAVIGATION[:3], ("Origin", visitor.site.origin))
        for path in ("/auth/", "/auth/login", "/auth/authorize"):
            for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "POST"):
                is_page(visitor.open(path, headers=named, method=method), 405)

    def test_never_names_a_host_that_somebody_sends(self, front: Stack) -> None:
        """Threat 23: CVE-2026-40575, CVE-2026-76835."""
        visitor = Visitor(front, "nobody")
        evil = (
            ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Prefix", "/evil"),
            ("X-Forwarded-Port", "666"),
            ("X-Original-Url", "//evil.example/"),
            ("X-Rewrite-Url", "//evil.example/"),
            ("X-Script-Name", "/evil"),
            ("Forwarded", "host=evil.example;proto=https"),
        )
        for address in (
            "/auth/",
            "/auth/login",
            "/auth/logout",
            "/auth/authorize",
            "/a/b/tracking/",
        ):
            shown = visitor.open(address, headers=(*NAVIGATION, *evil))
            assert "evil" not in shown.text + shown.location


def test_a_project_that_is_named_like_a_page_keeps_its_views(tenants: Tenants) -> None:
    made = tenants.project(f"auth/{unique('p')}")
    shown = signed_in(tenants, made).open(f"/{made.path}/tracking/")
    assert (shown.status, "<script" in shown.text) == (200, True)
