import re
from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from extauthz.edge.refusals import BadRequest, NotFound
from extauthz.edge.routes import EXACT, PREFIXES, is_mlflow, is_public
from extauthz.edge.scope import (
    Page,
    Redirect,
    Scope,
    Tracking,
    _readings,
    is_project_path,
    scope_of,
)

# Names that MLflow's routes, GitLab and we use ourselves: every one may be a group or a project.
WORDS = sorted(
    {word for route in [*EXACT, *PREFIXES] for word in route.split("/") if word}
    | {"tracking", "auth", "api", "ajax-api", "login", "extauthz", "p"}
)
slugs = st.one_of(
    st.sampled_from(WORDS), st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,8}[a-z0-9]", fullmatch=True)
)
projects = st.lists(slugs, min_size=2, max_size=4).map("/".join).filter(is_project_path)
files = st.lists(st.one_of(slugs, st.text("aé %#;?+", min_size=1)), min_size=1, max_size=4).map(
    lambda names: "/".join(quote(name, safe="") for name in names)
)
routes = st.one_of(
    st.sampled_from(sorted(EXACT)),
    st.sampled_from(
        [
            "/api/2.0/mlflow/experiments/search",
            "/ajax-api/2.0/mlflow/runs/search",
            "/static-files/static/js/main.js",
        ]
    ),
    files.map("/api/2.0/mlflow-artifacts/artifacts/".__add__),
    files.map("/api/2.0/mlflow-artifacts/mpu/create/".__add__),
)


def is_shadowed(project: str) -> bool:
    """Tell whether a project's own URL is one of MLflow's: those read as the global view."""
    return f"/{project}/tracking/".startswith(PREFIXES)


@given(projects, routes)
def test_a_project_and_a_route_are_told_apart(project: str, route: str) -> None:
    assume(not is_shadowed(project))
    scope = scope_of(f"/{project}/tracking{route}")
    assert isinstance(scope, Tracking)
    assert scope.project is not None
    assert f"/{scope.project}/tracking{scope.path}" == f"/{project}/tracking{route}"
    # Only an earlier `/tracking` that makes sense as well may win over the one meant.
    assert len(scope.project) <= len(project)
    if "/tracking" not in f"/{project}":
        assert scope == Tracking(project, route)


@given(projects, routes, files)
def test_nothing_appended_moves_the_split(project: str, route: str, appended: str) -> None:
    assume(not is_shadowed(project) and "/tracking" not in f"/{project}")
    artifact = "/api/2.0/mlflow-artifacts/artifacts/x"
    path = f"/{project}/tracking{artifact}/tracking{route}/{appended}"
    try:
        assert scope_of(path) == Tracking(project, path.removeprefix(f"/{project}/tracking"))
    except BadRequest:
        assert "//" in path


@given(routes)
def test_a_route_alone_is_the_global_view(route: str) -> None:
    assert scope_of(route) == Tracking(None, route)


@given(st.one_of(st.text(), st.text("/tracking%2eauth.;\\~é\x00 ", max_size=40)))
def test_any_text_is_a_scope_or_a_refusal(text: str) -> None:
    scope = parse(f"/{text}")
    if isinstance(scope, Tracking):
        assert is_mlflow(scope.path)
        assert f"/{text}".endswith(scope.path)
        assert scope.project is None or is_project_path(scope.project)


@given(st.one_of(projects, routes.map(lambda route: route.strip("/"))))
def test_one_decoding_of_a_served_path_neither_moves_nor_hides_a_segment(path: str) -> None:
    scope = parse(f"/{path}/tracking/")
    if isinstance(scope, Tracking):
        decoded = unquote(scope.path)
        assert decoded.count("/") == scope.path.count("/")
        assert not re.search(r"/\.{1,2}(/|$)", decoded)


def parse(path: str, prefix: str = "") -> Scope | None:
    try:
        return scope_of(path, prefix=prefix)
    except (BadRequest, NotFound):
        return None


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/", Tracking(None, "/")),
        ("/health", Tracking(None, "/health")),
        ("/a/b/tracking", Redirect("/a/b/tracking/")),
        ("/a/b/tracking/", Tracking("a/b", "/")),
        ("/a/b/c/tracking/graphql", Tracking("a/b/c", "/graphql")),
        ("/extauthz/v1/view", Tracking(None, "/extauthz/v1/view")),
        ("/a/b/tracking/extauthz/v1/view", Tracking("a/b", "/extauthz/v1/view")),
        ("/extauthz/v1/view/tracking/", Tracking("extauthz/v1/view", "/")),
        ("/a/b/tracking/auth", Page("a/b")),
        ("/a/b/tracking/auth/", Page("a/b")),
        ("/a/b/tracking/auth/login", Page("a/b", "login")),
        ("/auth", Page(None)),
        ("/auth/logout", Page(None, "logout")),
        ("/auth/p/42", Page(None, "p/42")),
        ("/tracking/tracking/tracking/", Tracking("tracking/tracking", "/")),
        ("/a/tracking/tracking/health", Tracking("a/tracking", "/health")),
        ("/a/b/tracking/tracking/", Tracking("a/b/tracking", "/")),
        ("/tracking/b/tracking/version", Tracking("tracking/b", "/version")),
        ("/health/version/tracking/", Tracking("health/version", "/")),
        ("/v1/graphql/tracking/v1/traces", Tracking("v1/graphql", "/v1/traces")),
        ("/auth/x/tracking/", Tracking("auth/x", "/")),
        ("/api/2.0/a/b/tracking/health", Tracking(None, "/api/2.0/a/b/tracking/health")),
        (
            "/a/b/tracking/api/2.0/mlflow-artifacts/artifacts/1/x/tracking/api/2.0/y",
            Tracking("a/b", "/api/2.0/mlflow-artifacts/artifacts/1/x/tracking/api/2.0/y"),
        ),
        (
            "/a/b/tracking/api/2.0/mlflow-artifacts/artifacts/1/100%25%20%C3%A9%3B%23%3F",
            Tracking("a/b", "/api/2.0/mlflow-artifacts/artifacts/1/100%25%20%C3%A9%3B%23%3F"),
        ),
    ],
)
def test_known_paths(path: str, scope: Scope) -> None:
    assert scope_of(path) == scope


@pytest.mark.parametrize(
    "project",
    [
        "/".join("a" * 21),
        "a/" + "b" * 255,
        "A.b_c-D/0.x",
        "_a/.b",
        "a.git/b",
        "a/b.git.x",
        "tracking/trackings",
    ],
)
def test_whatever_gitlab_lets_a_project_be_called_can_be_reached(project: str) -> None:
    """GitLab: a project has up to 20 groups above it, and 255 characters to a name."""
    assert is_project_path(project)
    assert scope_of(f"/{project}/tracking/") == Tracking(project, "/")


@pytest.mark.parametrize("project", ["a/b", "tracking/b", "a/tracking/tracking"])
def test_the_depth_of_a_file_and_its_name_do_not_move_the_split(project: str) -> None:
    """Who names a file chooses all that follows, and may write another project there."""
    deep = "/api/2.0/mlflow-artifacts/artifacts" + "/x" * 30
    for path in (deep, f"{deep}/tracking/health", f"{deep}/c/d/tracking/api/2.0/y/tracking/"):
        assert scope_of(f"/{project}/tracking{path}") == Tracking(project, path)


@pytest.mark.parametrize("length", [8192, 8193])
def test_a_path_is_read_up_to_its_greatest_length(length: int) -> None:
    path = "/api/2.0/".ljust(length, "x")
    assert (parse(path) is None) is (length > 8192)


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "/a/b",
        "/a/tracking/",
        "/tracking/",
        "/tracking/health",
        "/a/b/trackings/",
        "/a/b/tracking/unknown",
        "/a/b/tracking/gateway/x",
        "/auth/other",
        "/a/b/tracking/auth/other",
        "/a/b.git/tracking/",
        "/a/b.atom/tracking/",
        "/a/b/c.git/tracking/",
        "/a/b/c/d.atom/tracking/",
        "/-a/b/tracking/",
        "/a/-/tracking/",
        "/a/b%20c/tracking/",
        "/a/caf%C3%A9/tracking/",
        "/a/" + "b" * 256 + "/tracking/",
        "/" + "/".join("a" * 22) + "/tracking/",
        "/gateway/mlflow/v1/models",
        "/api/2.0mlflow/experiments/search-datasets",
        "/extauthz/v1/projects",
        "/a/b/tracking/extauthz/v1/projects",
        "/a/b/tracking/extauthz/v1/view/",
        "/metrics",
        "/signup",
    ],
)
def test_what_is_neither_a_view_nor_a_page_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        scope_of(path)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a/b/tracking/",
        "//api/2.0/mlflow/experiments/search",  # stock MLflow answers this one
        "/api/2.0/mlflow/experiments%2Fsearch",  # and this one
        "/a/b//tracking/",
        "/a/./b/tracking/",
        "/a/../b/tracking/",
        "/a/b/tracking/..",
        "/a/b/tracking/api/2.0/%2e%2e/x",
        "/a/b/tracking/%2E/",
        "/a%2fb/tracking/",
        "/a%5Cb/tracking/",
        "/a\\b/tracking/",
        "/a/b;c=d/tracking/",
        "/a/..;/b/tracking/",  # GHSA-3q34-rx83-r6mq
        "/a/b/tracking/%00",  # CVE-2026-73553
        "/a/b/tracking/api/2.0/%0d%0ax",
        "/a/b/tracking/api/2.0/%7f",
        "/a/b/tracking/api/2.0/%zz",
        "/a/b/tracking/api/2.0/%",
        "/a/b/tracking/api/2.0/%4",
        "/a/b/tracking/api/2.0/%C0%AF",  # an overlong slash
        "/a/b/tracking/api/2.0/%FF",
        "/a/b/tracking/api/2.0/%252e",
        "/a/b/tracking/api/2.0/a%3Bb",
        "/a/b/tracking/api/2.0/a%23b",
        "/a/b/tracking/api/2.0/a%3Fb",
        "/a/b/tracking/%72uns",
        "/%61/b/tracking/",
        "/a/b/tracking/api/2.0/café",
        "/a/b/tracking/api/2.0/a b",
        "/a/b/tracking/api/2.0/a\tb",
        "/a/b/tracking/api/2.0/a\n",
        "/a/b/tracking/\n",
        '/a/b/tracking/api/2.0/"',
        "/a/b/tracking/api/2.0/<script>",
        "/api/2.0/" + "x" * 8192,
    ],
)
def test_what_two_servers_could_read_in_two_ways_is_refused(path: str) -> None:
    """Threats 31 to 35 and 37."""
    with pytest.raises(BadRequest):
        scope_of(path)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/mlflow", Redirect("/mlflow/")),
        ("/mlflow/", Tracking(None, "/")),
        ("/mlflow/a/b/tracking", Redirect("/mlflow/a/b/tracking/")),
        ("/mlflow/a/b/tracking/health", Tracking("a/b", "/health")),
        ("/mlflow/mlflow/b/tracking/", Tracking("mlflow/b", "/")),
    ],
)
def test_a_public_path_is_removed_before_parsing(path: str, scope: Scope) -> None:
    assert scope_of(path, prefix="/mlflow") == scope


@pytest.mark.parametrize("path", ["/", "/health", "/mlflowx/", "/a/b/tracking/", "/MLFLOW/"])
def test_nothing_is_served_outside_the_public_path(path: str) -> None:
    with pytest.raises(NotFound):
        scope_of(path, prefix="/mlflow")


@pytest.mark.parametrize(
    ("method", "path", "public"),
    [
        ("GET", "/health", True),
        ("HEAD", "/health", True),
        ("POST", "/health", False),
        ("POST", "/version", False),
        ("GET", "/version", True),
        ("GET", "/static-files/x.js", True),
        ("HEAD", "/static-files/x.js", True),
        ("PUT", "/static-files/x.js", False),
        ("GET", "/", False),
        ("GET", "/extauthz/v1/view", False),
        ("GET", "/health/", False),
        ("GET", "/api/2.0/mlflow/experiments/search", False),
    ],
)
def test_only_these_need_no_caller(method: str, path: str, *, public: bool) -> None:
    assert is_public(method, path) is public


def test_a_path_full_of_marks_is_read_in_few_steps() -> None:
    """Each further reading would cost the loop time, and an unauthenticated client sets it."""
    path = "/tracking" * 900
    assert sum(1 for _ in _readings(path)) <= 21
    with pytest.raises(NotFound):
        scope_of(path)
