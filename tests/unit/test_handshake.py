"""The handshake of a login: bound to one browser, ten minutes long, and used once."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.edge.handshake import MOST, SECONDS, Handshake, Handshakes
from extauthz.edge.seal import Seal
from extauthz.edge.site import Site
from extauthz.edge.wanted import own_address

KEY, OTHER_KEY = (SecretStr(f"a key for tests that is long enough {name}") for name in "ab")
HTTP = Site.of("http://localhost:5000")
SITES = {
    "http": HTTP,
    "http below a path": Site.of("http://localhost:5000/mlflow"),
    "https": Site.of("https://mlflow.example.org"),
    "https below a path": Site.of("https://hub.example.org/mlflow"),
}
TARGET = "http://localhost:5000/acme/vision/tracking/?x=1"
# What browsers keep: name and value (RFC 6265bis, 5.6).
LARGEST_COOKIE = 4096


@dataclass(slots=True)
class Times:
    """The two clocks, which move when a test says so."""

    wall: float = 1_800_000_000.0
    clock: float = 50.0

    def handshakes(self, site: Site = HTTP, *keys: SecretStr) -> Handshakes:
        """Return the handshakes of a process that has just started."""
        return Handshakes(
            Seal(keys or [KEY]), site, wall=lambda: self.wall, clock=lambda: self.clock
        )

    def let_pass(self, seconds: float) -> None:
        self.wall += seconds
        self.clock += seconds


@dataclass(slots=True)
class Jar:
    """The cookies of a browser."""

    cookies: dict[str, str] = field(default_factory=dict)

    def keep(self, *headers: str) -> None:
        for header in headers:
            name, _, value = header.partition(";")[0].partition("=")
            if "; Max-Age=0;" in header:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    @property
    def header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def handshakes(times: Times) -> Handshakes:
    return times.handshakes()


@pytest.fixture
def jar() -> Jar:
    return Jar()


def begun(handshakes: Handshakes, jar: Jar, target: str = TARGET) -> Handshake:
    """Begin a handshake in a browser."""
    handshake, cookies = handshakes.begin(target, jar.header)
    jar.keep(*cookies)
    return handshake


class TestSecrets:
    def test_are_never_the_same_and_cannot_be_guessed(self, handshakes: Handshakes) -> None:
        """Threats 51 to 53."""
        many = [handshakes.begin(TARGET, "")[0] for _ in range(500)]
        secrets = [text for each in many for text in (each.state, each.nonce, each.verifier)]
        assert len(set(secrets)) == len(secrets)
        # 256 bits each.
        assert all(re.fullmatch("[A-Za-z0-9_-]{43,128}", text) for text in secrets)

    def test_are_not_in_the_cookie_for_others_to_read(
        self, handshakes: Handshakes, jar: Jar
    ) -> None:
        handshake = begun(handshakes, jar)
        ((name, value),) = jar.cookies.items()
        assert re.fullmatch("mlflow-login-[0-9a-f]{12}", name)
        sealed = urlsafe_b64decode(value + "=" * (-len(value) % 4))
        for secret in (handshake.state, handshake.nonce, handshake.verifier, TARGET):
            assert secret not in name + value
            assert secret.encode() not in sealed


class TestTheBrowser:
    def test_that_began_finds_its_handshake(self, handshakes: Handshakes, jar: Jar) -> None:
        handshake = begun(handshakes, jar)
        assert handshake.target == TARGET
        assert handshakes.find(handshake.state, jar.header) == handshake
        assert handshakes.find(handshake.state, f"a=b; {jar.header}; c=d") == handshake

    def test_finds_each_of_many(self, handshakes: Handshakes, jar: Jar) -> None:
        many = [begun(handshakes, jar, f"{TARGET}&tab={number}") for number in range(MOST)]
        for each in reversed(many):
            assert handshakes.find(each.state, jar.header) == each

    def test_finds_it_after_a_restart(self, times: Times, jar: Jar) -> None:
        """Threat 51: nothing of it is in our memory."""
        handshake = begun(times.handshakes(), jar)
        assert times.handshakes().find(handshake.state, jar.header) == handshake

    def test_that_did_not_begin_finds_nothing(self, handshakes: Handshakes, jar: Jar) -> None:
        """Login CSRF: CVE-2025-68158, CVE-2026-41425."""
        handshake, other = begun(handshakes, jar), Jar()
        begun(handshakes, other)
        for header in ("", "a=b", other.header, f"{next(iter(jar.cookies))}=", "=", ";", ";=;,"):
            assert handshakes.find(handshake.state, header) is None
        for state in ("", "x", handshake.state[:-1], f"{handshake.state}x", handshake.nonce):
            assert handshakes.find(state, jar.header) is None

    def test_finds_nothing_under_the_name_of_another_state(
        self, handshakes: Handshakes, jar: Jar
    ) -> None:
        one, two = Jar(), Jar()
        first, second = begun(handshakes, one), begun(handshakes, two)
        ((name, _),) = one.cookies.items()
        ((_, value),) = two.cookies.items()
        jar.cookies = {name: value}
        for each in (first, second):
            assert handshakes.find(each.state, jar.header) is None

    def test_finds_its_own_beside_planted_ones(self, handshakes: Handshakes, jar: Jar) -> None:
        """Cookie tossing."""
        handshake = begun(handshakes, jar)
        ((name, value),) = jar.cookies.items()
        begun(handshakes, other := Jar())
        planted = (*other.cookies.values(), "", "made-up", value[:-4], f'"{value}"')
        for each in planted:
            for header in (f"{name}={each}; {jar.header}", f"{jar.header}; {name}={each}"):
                assert handshakes.find(handshake.state, header) == handshake

    def test_may_send_any_state_and_any_cookie(self, handshakes: Handshakes, jar: Jar) -> None:
        """A cookie can be renamed to fit a state that we would never make."""
        begun(handshakes, jar)
        ((_, value),) = jar.cookies.items()
        for state in ("é", "\u202e", "🙂", "\x00", "a" * 100_000):
            ((name, _),) = _cookie_for(handshakes, state).items()
            assert handshakes.find(state, f"{name}={value}") is None

    @given(st.text(max_size=40), st.text(max_size=80))
    def test_finds_nothing_by_chance(self, state: str, cookies: str) -> None:
        handshakes = Times().handshakes()
        ((name, _),) = _cookie_for(handshakes, state).items()
        for header in (cookies, f"{name}={cookies}", f"{name}; {cookies}"):
            assert handshakes.find(state, header) is None


def _cookie_for(handshakes: Handshakes, state: str) -> dict[str, str]:
    """Return the cookie, without a value, that a handshake with a state would be in."""
    jar = Jar({"z": "1"})
    header = handshakes.finish(Handshake(state, "", "", "", 0.0))
    jar.keep(header.replace("Max-Age=0", "Max-Age=1"))
    del jar.cookies["z"]
    return jar.cookies


class TestTime:
    @pytest.mark.parametrize("seconds", [0, 1, 300, SECONDS])
    def test_leaves_ten_minutes(self, times: Times, jar: Jar, seconds: float) -> None:
        handshakes = times.handshakes()
        handshake = begun(handshakes, jar)
        times.let_pass(seconds)
        assert handshakes.find(handshake.state, jar.header) == handshake

    @pytest.mark.parametrize("seconds", [SECONDS + 0.5, 660, 86_400])
    def test_ends_a_handshake_whatever_the_browser_keeps(
        self, times: Times, jar: Jar, seconds: float
    ) -> None:
        """Eleven minutes later, before a restart and after it."""
        handshakes = times.handshakes()
        handshake = begun(handshakes, jar)
        times.let_pass(seconds)
        for each in (handshakes, times.handshakes()):
            assert each.find(handshake.state, jar.header) is None

    def test_of_the_process_does_not_count(self, times: Times, jar: Jar) -> None:
        """Another process, or the same one after a restart, has another monotonic clock."""
        handshake = begun(times.handshakes(), jar)
        times.clock = 1e9
        assert times.handshakes().find(handshake.state, jar.header) == handshake

    def test_is_told_to_the_browser(self, handshakes: Handshakes) -> None:
        _, (cookie,) = handshakes.begin(TARGET, "")
        assert f"; Max-Age={int(SECONDS)}; " in cookie


class TestUse:
    def test_happens_once(self, handshakes: Handshakes, jar: Jar) -> None:
        """CVE-2025-68158: a state that is replayed."""
        handshake = begun(handshakes, jar)
        copied = jar.header
        handshakes.finish(handshake)
        assert handshakes.find(handshake.state, copied) is None
        handshakes.finish(handshake)
        assert handshakes.find(handshake.state, copied) is None

    def test_is_forgotten_by_the_browser(self, handshakes: Handshakes, jar: Jar) -> None:
        handshake, other = begun(handshakes, jar), begun(handshakes, jar)
        jar.keep(handshakes.finish(handshake))
        assert len(jar.cookies) == 1
        assert handshakes.find(other.state, jar.header) == other

    def test_is_remembered_for_as_long_as_it_could_be_repeated(
        self, times: Times, jar: Jar
    ) -> None:
        handshakes = times.handshakes()
        handshake = begun(handshakes, jar)
        times.let_pass(SECONDS - 1)
        handshakes.finish(handshake)
        for _ in range(120):
            times.let_pass(SECONDS / 100)
            assert handshakes.find(handshake.state, jar.header) is None


class TestTheSeal:
    def test_holds_bit_by_bit(self, handshakes: Handshakes, jar: Jar) -> None:
        """Threat 57, CVE-2026-47775."""
        handshake = begun(handshakes, jar)
        ((name, value),) = jar.cookies.items()
        sealed = urlsafe_b64decode(value + "=" * (-len(value) % 4))
        for at in range(len(sealed)):
            changed = bytearray(sealed)
            changed[at] ^= 1 << at % 8
            cookie = urlsafe_b64encode(changed).decode().rstrip("=")
            assert handshakes.find(handshake.state, f"{name}={cookie}") is None
        for length in range(0, len(value), 7):
            assert handshakes.find(handshake.state, f"{name}={value[:length]}") is None

    def test_is_of_our_keys_the_previous_one_included(self, times: Times, jar: Jar) -> None:
        """Threat 58."""
        handshake = begun(times.handshakes(HTTP, KEY), jar)
        for keys, found in (
            ((KEY,), handshake),
            ((OTHER_KEY, KEY), handshake),
            ((OTHER_KEY,), None),
        ):
            assert times.handshakes(HTTP, *keys).find(handshake.state, jar.header) == found

    @pytest.mark.parametrize("purpose", ["session", "ticket", "", "handshakes"])
    def test_is_for_handshakes_only(self, handshakes: Handshakes, jar: Jar, purpose: str) -> None:
        """Threat 57: no other cookie of ours can be one."""
        handshake = begun(handshakes, jar)
        ((name, value),) = jar.cookies.items()
        content = Seal([KEY]).open("handshake", value)
        resealed = Seal([KEY]).close("handshake", content)
        assert handshakes.find(handshake.state, f"{name}={resealed}") == handshake
        foreign = Seal([KEY]).close(purpose, content)
        assert handshakes.find(handshake.state, f"{name}={foreign}") is None

    @pytest.mark.parametrize("content", [b"", b"[]", b'["a"]', b"[1,2,3,4,5,6]", b"\xff"])
    def test_around_something_else_opens_nothing(
        self, handshakes: Handshakes, jar: Jar, content: bytes
    ) -> None:
        handshake = begun(handshakes, jar)
        ((name, _),) = jar.cookies.items()
        sealed = Seal([KEY]).close("handshake", content)
        assert handshakes.find(handshake.state, f"{name}={sealed}") is None


class TestTheCookie:
    @pytest.mark.parametrize(
        ("site", "prefix", "attributes"),
        [
            ("http", "", "; Path=/; Max-Age={}; HttpOnly; SameSite=Lax"),
            ("http below a path", "", "; Path=/mlflow/; Max-Age={}; HttpOnly; SameSite=Lax"),
            ("https", "__Host-", "; Path=/; Max-Age={}; HttpOnly; SameSite=Lax; Secure"),
            # No browser takes the prefix with a path.
            (
                *("https below a path", ""),
                "; Path=/mlflow/; Max-Age={}; HttpOnly; SameSite=Lax; Secure",
            ),
        ],
    )
    def test_is_for_our_site_alone(
        self, times: Times, site: str, prefix: str, attributes: str
    ) -> None:
        """Threat 59."""
        handshakes = times.handshakes(SITES[site])
        handshake, (begin,) = handshakes.begin(TARGET, "")
        end = handshakes.finish(handshake)
        assert begin.startswith(f"{prefix}mlflow-login-")
        assert begin.partition("=")[0] == end.partition("=")[0]
        assert begin.endswith(attributes.format(int(SECONDS)))
        assert end.endswith(f"={attributes.format(0)}")

    @pytest.mark.parametrize("site", SITES)
    def test_does_not_fill_up_the_browser(self, times: Times, jar: Jar, site: str) -> None:
        """oauth2-proxy #611: the number stays bounded, and the oldest goes first."""
        handshakes = times.handshakes(SITES[site])
        others = {
            "mlflow-session": "1",
            "__Host-mlflow-session": "2",
            "extauthz-login": "3",
            "other-mlflow-login-1": "4",
            "MLFLOW-LOGIN-1": "5",
        }
        jar.cookies.update(others)
        many = []
        for _ in range(5 * MOST):
            many.append(begun(handshakes, jar))
            assert len(jar.cookies) <= MOST + len(others)
        assert others.items() <= jar.cookies.items()
        found = [handshakes.find(each.state, jar.header) for each in many]
        assert found == [None] * (4 * MOST) + many[-MOST:]

    def test_is_bounded_whoever_made_them_up(self, handshakes: Handshakes, jar: Jar) -> None:
        """A sibling domain can plant cookies; more headers than 100 Envoy does not take."""
        jar.cookies = {f"mlflow-login-{number}": "x" for number in range(180)}
        _, cookies = handshakes.begin(TARGET, jar.header)
        assert len(cookies) < 60

    @pytest.mark.parametrize("character", ["x", "\\", "'", "~"])
    def test_is_small_enough_for_a_browser_whatever_the_address(
        self, handshakes: Handshakes, character: str
    ) -> None:
        query = character * (1024 - len(f"{HTTP.origin}/?"))
        target = own_address(f"/?{query}", HTTP)
        assert target == f"{HTTP.origin}/?{query}"
        handshake, (cookie,) = handshakes.begin(target, "")
        assert handshake.target == target
        assert len(cookie.partition(";")[0]) <= LARGEST_COOKIE

    @given(st.text(max_size=300))
    def test_brings_the_target_back_as_it_was(self, target: str) -> None:
        handshakes, jar = Times().handshakes(), Jar()
        handshake = begun(handshakes, jar, target)
        found = handshakes.find(handshake.state, jar.header)
        assert found is not None
        assert found.target == target
