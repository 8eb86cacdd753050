from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.edge.cache import Cache
from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.fingerprints import Fingerprints
from tests.access import SECRET, Clock, credential

GITLAB = "https://gitlab.example.org"


def test_an_entry_lives_until_its_own_end() -> None:
    clock = Clock(0)
    cache: Cache[str, int] = Cache(10, clock=clock)
    cache.put("short", 1, until=5)
    cache.put("long", 2, until=50)

    clock.pass_by(4.999)
    assert (cache.get("short"), cache.get("long")) == (1, 2)
    clock.pass_by(0.001)
    assert (cache.get("short"), cache.get("long")) == (None, 2)


def test_a_newer_entry_replaces_an_older_one_even_if_it_has_ended() -> None:
    clock = Clock(10)
    cache: Cache[str, int] = Cache(10, clock=clock)
    cache.put("key", 1, until=100)
    cache.put("key", 2, until=9)

    assert cache.get("key") is None


def test_the_least_recently_used_makes_room() -> None:
    cache: Cache[int, int] = Cache(3, clock=Clock(0))
    for number in range(3):
        cache.put(number, number, until=10 - number)
    cache.get(0)

    cache.put(3, 3, until=1)

    assert [cache.get(number) for number in range(4)] == [0, None, 2, 3]


@given(
    st.lists(
        st.tuples(st.sampled_from(["put", "drop", "wait"]), st.integers(0, 5), st.floats(0, 20))
    )
)
def test_it_behaves_like_a_dictionary_with_ends(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock(0)
    cache: Cache[int, float] = Cache(6, clock=clock)
    expected: dict[int, float] = {}
    for step, key, seconds in steps:
        match step:
            case "put":
                expected[key] = clock() + seconds
                cache.put(key, expected[key], until=expected[key])
            case "drop":
                expected.pop(key, None)
                cache.drop(key)
            case _:
                clock.pass_by(seconds)
        for held, until in expected.items():
            assert cache.get(held) == (until if clock() < until else None)


def test_it_never_grows_beyond_its_size() -> None:
    cache: Cache[int, int] = Cache(100, clock=Clock(0))
    for number in range(10_000):
        cache.put(number, number, until=1)

    assert len(cache) == 100


def test_a_fingerprint_tells_credentials_kinds_and_providers_apart() -> None:
    """Threat 68 (CVE-2026-33496)."""
    # Equal keys for different kinds of credential let one in as the other (CVE-2026-33496).
    ours = Fingerprints(SECRET, GITLAB)
    other_kind = cast("Kind", "session")
    prints = [
        ours.of(credential("glpat-a")),
        ours.of(credential("glpat-b")),
        ours.of(Credential(other_kind, SecretStr("glpat-a"))),
        Fingerprints(SECRET, f"{GITLAB}.evil").of(credential("glpat-a")),
        Fingerprints(SecretStr("another secret"), GITLAB).of(credential("glpat-a")),
    ]

    assert len(set(prints)) == len(prints)
    assert ours.of(credential("glpat-a")) == prints[0]


def test_a_fingerprint_does_not_contain_the_secret() -> None:
    assert b"glpat" not in Fingerprints(SECRET, GITLAB).of(credential("glpat-a"))
