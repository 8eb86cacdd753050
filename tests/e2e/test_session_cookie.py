"""The cookie with the session: who can make one, and what it is beside other credentials."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from extauthz.edge.seal import Seal
from tests.gitlab import DEVELOPER
from tests.polling import eventually
from tests.servers.edge import SECRET_KEY
from tests.servers.redis import RedisServer, redis_server
from tests.servers.stack import Stack, login_gateway
from tests.successions import succession
from tests.tenants import Project, Tenants
from tests.visitor import NAVIGATION, Visitor, is_page

SEAL = Seal([SecretStr(SECRET_KEY)])
OTHER_KEY = "another key for tests, long enough too"


@dataclass(frozen=True, slots=True)
class Front:
    """An edge with login, and what its cookies are sealed for. `redis` is where sessions are."""

    stack: Stack
    purpose: str
    redis: RedisServer | None = None


@pytest.fixture(scope="module")
def in_cookies(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("in-cookies")
    with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow) as running:
        yield Front(running, "session")


@pytest.fixture(scope="module")
def in_redis(whole_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("in-redis")
    with redis_server(folder) as redis:
        settings = {"SESSION_STORE_URL": redis.url}
        with login_gateway(folder, whole_stack.gitlab, whole_stack.mlflow, settings) as running:
            yield Front(running, "ticket", redis)


@pytest.fixture(params=["in_cookies", "in_redis"])
def front(request: pytest.FixtureRequest) -> Front:
    """Each of the two ways to keep sessions."""
    front = request.getfixturevalue(request.param)
    assert isinstance(front, Front)
    return front


@pytest.fixture
def project(front: Front) -> Project:
    return Tenants(front.stack).project()


@pytest.fixture
def visitor(front: Front, project: Project) -> Visitor:
    """Somebody who has signed in."""
    visitor = Visitor(front.stack, project.member(DEVELOPER))
    assert visitor.visit(f"/auth/login?project={project.path}").status == 200
    return visitor


def opens(stack: Stack, project: Project, cookie: str) -> bool:
    """Tell whether a cookie opens a project; if not, every answer must be the same 401."""
    visitor = Visitor(stack, "nobody")
    visitor.plant(visitor.session_cookie, cookie)
    view = f"/{project.path}/tracking/"
    if visitor.open(view).status == 200:
        return True
    for address in (view, "/", "/auth/"):
        shown = visitor.open(address)
        is_page(shown, 401)
        assert list(shown.links) == ["Sign in with GitLab"]
    for headers in ((), (("Accept", "application/json"),)):
        shown = visitor.open(f"{view}api/2.0/mlflow/runs/get", headers=headers)
        assert shown.status == 401, shown.text
        assert json.loads(shown.text)["error_code"] == "UNAUTHENTICATED"
    is_page(visitor.open("/auth/logout"), 200)
    assert visitor.post("/auth/logout").status == 303
    assert not visitor.session
    return False


class TestIsOnlyOurs:
    """Threat 57, CVE-2026-47775."""

    # Of the sealed text: the key's id, the nonce, what is sealed, and the tag that proves it.
    @pytest.mark.parametrize("at", [0, 3, 4, 15, 16, 40, -40, -17, -16, -1])
    @pytest.mark.parametrize("bit", [0, 7])
    def test_with_one_bit_flipped_it_is_none(
        self, visitor: Visitor, project: Project, at: int, bit: int
    ) -> None:
        sealed = bytearray(_decoded(visitor.session))
        sealed[at] ^= 1 << bit
        assert not opens(visitor.stack, project, _encoded(sealed))
        assert opens(visitor.stack, project, visitor.session)

    def test_cut_off_anywhere_it_is_none(self, visitor: Visitor, project: Project) -> None:
        sealed = _decoded(visitor.session)
        for length in (0, 1, 4, 15, 16, 17, 31, 32, len(sealed) // 2, len(sealed) - 1):
            assert not opens(visitor.stack, project, _encoded(sealed[:length]))
        assert not opens(visitor.stack, project, _encoded(sealed + b"\0"))
        assert opens(visitor.stack, project, visitor.session)

    @pytest.mark.parametrize(
        "value",
        [
            *(
                "",
                " ",
                "x",
                "=",
                "====",
                "null",
                "made-up",
                "a.b.c",
                "%00",
                '"',
                "{}",
                "\\",
                "/../",
            ),
            *("A" * 43, "A" * 4_000, "A" * 5_000, "A" * 7_000, "é", "\xff\xfe", "\x80"),
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJnaXRsYWI6MSJ9.",
        ],
        ids=lambda value: repr(value[:12]),
    )
    def test_whatever_else_is_in_it_is_none(
        self, front: Front, project: Project, value: str
    ) -> None:
        assert not opens(front.stack, project, value)

    def test_in_quotation_marks_or_with_a_space_it_is_none_of_ours(
        self, visitor: Visitor, project: Project
    ) -> None:
        session = visitor.session
        for value in (f'"{session}"', f"{session} x", f"{session[:9]} {session[9:]}"):
            assert not opens(visitor.stack, project, value)

    def test_made_of_two_it_is_none(self, visitor: Visitor, project: Project) -> None:
        other = Visitor(visitor.stack, project.member(DEVELOPER))
        other.visit("/auth/login")
        one, two = _decoded(visitor.session), _decoded(other.session)
        for at in (16, 60, len(one) // 2, len(one) - 16):
            assert not opens(visitor.stack, project, _encoded(one[:at] + two[at:]))
            assert not opens(visitor.stack, project, _encoded(one[:-at] + two[-at:]))

    def test_exchanged_with_anothers_it_is_the_others(
        self, visitor: Visitor, project: Project
    ) -> None:
        other = Visitor(visitor.stack, Tenants(visitor.stack).project().member(DEVELOPER))
        other.visit("/auth/login")
        visitor.plant(visitor.session_cookie, other.session)
        assert visitor.open(f"/{project.path}/tracking/").status == 404
        shown = visitor.open("/auth/")
        assert other.user in shown.text
        assert visitor.user not in shown.text

    def test_beside_another_one_neither_counts(self, visitor: Visitor, project: Project) -> None:
        """Cookie tossing: a sibling domain has set one for all of its siblings."""
        other = Visitor(visitor.stack, project.member(DEVELOPER))
        other.visit("/auth/login")
        mine, name, host = visitor.session, visitor.session_cookie, visitor.site.host
        for second in (mine, other.session, "", "made-up"):
            for address in (f"/{project.path}/tracking/", "/", "/auth/"):
                visitor.plant(name, mine)
                visitor.plant(name, second, domain=host)
                is_page(visitor.open(address), 400)
                # And the next time there is none.
                assert not visitor.cookies
                is_page(visitor.open(address), 401)
        visitor.plant(name, mine)
        visitor.plant(name, other.session, domain=host)
        assert visitor.open("/", headers=()).status == 400

    def test_beside_another_one_both_can_be_ended(self, visitor: Visitor, project: Project) -> None:
        other = Visitor(visitor.stack, project.member(DEVELOPER))
        other.visit("/auth/login")
        mine, theirs = visitor.session, other.session
        visitor.plant(visitor.session_cookie, theirs, domain=visitor.site.host)
        assert visitor.post("/auth/logout").status == 303
        for cookie in (mine, theirs):
            assert not opens(visitor.stack, project, cookie)

    def test_sealed_with_another_key_or_for_another_purpose_it_is_none(
        self, front: Front, visitor: Visitor, project: Project
    ) -> None:
        content = SEAL.open(front.purpose, visitor.session)
        assert opens(front.stack, project, SEAL.close(front.purpose, content))
        other = Seal([SecretStr(OTHER_KEY)])
        assert not opens(front.stack, project, other.close(front.purpose, content))
        for purpose in {"session", "ticket", "handshake", ""} - {front.purpose}:
            assert not opens(front.stack, project, SEAL.close(purpose, content))
        # Another key under the name of ours.
        forged = _decoded(other.close(front.purpose, content))
        assert not opens(front.stack, project, _encoded(_decoded(visitor.session)[:4] + forged[4:]))

    @pytest.mark.parametrize("content", [b"", b"null", b"[]", b"{}", b"[1,2]", b'["a"]', b"\xff"])
    def test_holding_something_else_it_is_none(
        self, front: Front, project: Project, content: bytes
    ) -> None:
        assert not opens(front.stack, project, SEAL.close(front.purpose, content))


class TestInRedis:
    def test_a_session_is_worth_nothing_under_anothers_ticket(self, in_redis: Front) -> None:
        """Threat 57: not even whoever can write to Redis becomes somebody else."""
        assert in_redis.redis is not None
        project = Tenants(in_redis.stack).project()
        mine, theirs = (Visitor(in_redis.stack, project.member(DEVELOPER)) for _ in range(2))
        for visitor in (mine, theirs):
            visitor.visit("/auth/login")
        keys = [_key(visitor.session) for visitor in (mine, theirs)]
        with in_redis.redis.client() as client:
            kept = [client.get(key) for key in keys]
            assert all(isinstance(each, bytes) for each in kept)
            client.set(keys[0], kept[1])
            assert not opens(in_redis.stack, project, mine.session)
            for rubbish in (b"", b"x", b"x" * 12, b"x" * 400):
                client.set(keys[0], rubbish)
                assert not opens(in_redis.stack, project, mine.session)
            client.delete(keys[0])
            assert not opens(in_redis.stack, project, mine.session)
        assert opens(in_redis.stack, project, theirs.session)

    def test_neither_half_of_a_session_can_be_read_without_the_other(self, in_redis: Front) -> None:
        assert in_redis.redis is not None
        project = Tenants(in_redis.stack).project()
        visitor = Visitor(in_redis.stack, project.member(DEVELOPER))
        visitor.visit("/auth/login")
        assert visitor.user.encode() not in SEAL.open("ticket", visitor.session)
        with in_redis.redis.client() as client:
            kept = client.get(_key(visitor.session))
            assert isinstance(kept, bytes)
            assert visitor.user.encode() not in kept


@pytest.mark.parametrize("store", ["cookie", "redis"])
def test_a_new_key_seals_and_the_previous_one_opens(
    whole_stack: Stack, tmp_path: Path, store: str
) -> None:
    """Threat 58, key rotation."""
    with redis_server(tmp_path) as redis:
        settings = {"SESSION_STORE_URL": redis.url} if store == "redis" else {}
        with succession(tmp_path, whole_stack.gitlab, whole_stack.mlflow, settings) as (
            edges,
            front,
        ):
            project = Tenants(front).project()
            old, new, begun = (Visitor(front, project.member(DEVELOPER)) for _ in range(3))
            old.visit("/auth/login")
            callback = begun.sign_in(begun.begin())

            edges.restart(front, SECRET_KEY=OTHER_KEY, SECRET_KEY_PREVIOUS=SECRET_KEY)
            assert opens(front, project, old.session)
            assert begun.visit(callback).status == 200
            new.visit("/auth/login")
            assert _decoded(new.session)[:4] == _decoded(begun.session)[:4]
            assert _decoded(new.session)[:4] != _decoded(old.session)[:4]

            edges.restart(front, SECRET_KEY_PREVIOUS="")
            assert opens(front, project, new.session)
            assert opens(front, project, begun.session)
            assert not opens(front, project, old.session)


class TestBesideAToken:
    def test_the_token_counts_alone(self, visitor: Visitor, project: Project) -> None:
        tenants = Tenants(visitor.stack)
        theirs = tenants.project()
        token = tenants.token(theirs.member(DEVELOPER))
        mine_view, their_view = (f"/{each.path}/tracking/" for each in (project, theirs))
        for header in (("Authorization", f"Bearer {token}"), ("PRIVATE-TOKEN", token)):
            for shape in ((), NAVIGATION):
                headers = (*shape, header)
                assert visitor.open(mine_view, headers=headers).status == 404
                assert visitor.open(their_view, headers=headers).status == 200
                assert visitor.open(f"/auth/p/{project.id}", headers=headers).status == 404
                assert visitor.open(f"/auth/p/{theirs.id}", headers=headers).status == 302
        assert visitor.open(mine_view).status == 200
        assert visitor.open(their_view).status == 404

    def test_the_global_view_is_the_tokens(self, visitor: Visitor, project: Project) -> None:
        tenants = Tenants(visitor.stack)
        theirs = tenants.project()
        for each, name in ((project, "mine"), (theirs, "theirs")):
            each.developer().post("experiments/create", name=name)
        token = tenants.token(theirs.member(DEVELOPER))
        search = "/ajax-api/2.0/mlflow/experiments/search?max_results=10"

        def names(*headers: tuple[str, str]) -> list[str]:
            shown = visitor.open(search, headers=headers)
            return [each["name"] for each in json.loads(shown.text).get("experiments", [])]

        eventually(names, ["mine"])
        eventually(lambda: names(("Authorization", f"Bearer {token}")), ["theirs"])
        assert names() == ["mine"]

    @pytest.mark.parametrize(
        "header",
        [
            ("Authorization", "Bearer made-up"),
            ("Authorization", "Bearer"),
            ("Authorization", "Bearer "),
            ("Authorization", "Basic bWFkZTp1cA=="),
            ("Authorization", "Negotiate made-up"),
            ("Authorization", ""),
            ("PRIVATE-TOKEN", "made-up"),
            ("X-Gitlab-Token", "made-up"),
            ("X-Gitlab-Token", ""),
        ],
        ids=str,
    )
    def test_a_bad_token_never_falls_back_to_it(
        self, visitor: Visitor, project: Project, header: tuple[str, str]
    ) -> None:
        for address in (f"/{project.path}/tracking/", "/", f"/auth/p/{project.id}"):
            for shape in ((), NAVIGATION):
                shown = visitor.open(address, headers=(*shape, header))
                assert (shown.status, shown.location) == (401, "")
                assert shown.header("www-authenticate") == 'Bearer realm="MLflow"'

    def test_a_token_is_no_session_and_a_session_no_token(
        self, front: Front, visitor: Visitor, project: Project
    ) -> None:
        """CVE-2026-33496: the same text under another kind is another credential."""
        token = Tenants(front.stack).token(project.member(DEVELOPER))
        view = f"/{project.path}/tracking/"
        assert visitor.open(view, headers=(("Authorization", f"Bearer {token}"),)).status == 200
        assert not opens(front.stack, project, token)
        nobody = Visitor(front.stack, "nobody")
        bearer = ("Authorization", f"Bearer {visitor.session}")
        assert nobody.open(view, headers=(bearer,)).status == 401


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encoded(sealed: bytes | bytearray) -> str:
    return urlsafe_b64encode(sealed).decode().rstrip("=")


def _key(cookie: str) -> str:
    return f"extauthz:session:{json.loads(SEAL.open('ticket', cookie))[0]}"
