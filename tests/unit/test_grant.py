import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.grant import (
    LEEWAY,
    LIFETIME,
    LONGEST_TOKEN,
    Grant,
    GrantExpired,
    GrantForged,
    GrantKey,
    GrantSigner,
    GrantTooLarge,
    GrantVerifier,
    Links,
    View,
    Why,
    pack_ids,
    unpack_ids,
)
from extauthz.keys import Purpose, derive
from extauthz.levels import Role

SECRET = SecretStr("a secret of sufficient length, for tests")
KEY = GrantKey(SECRET)
INSTANCE = "gitlab.example.org"

links = st.builds(Links, project=st.text(), home=st.text(), logout=st.text())
ids = st.lists(st.integers(1, 2**48), unique=True, max_size=50).map(lambda ns: tuple(sorted(ns)))
project_grants = st.builds(
    Grant,
    view=st.just(View.PROJECT),
    instance=st.just(INSTANCE),
    role=st.just(Role.READ),
    why=st.sampled_from([*Why]),
    subject=st.text(),
    name=st.text(),
    project_id=st.integers(1, 2**48),
    project_path=st.text(min_size=1),
    links=links,
)
write_grants = st.builds(
    Grant,
    view=st.just(View.PROJECT),
    instance=st.just(INSTANCE),
    role=st.just(Role.WRITE),
    subject=st.text(),
    project_id=st.integers(1, 2**48),
    project_path=st.text(min_size=1),
)
global_grants = st.builds(
    Grant,
    view=st.just(View.GLOBAL),
    instance=st.just(INSTANCE),
    why=st.just(Why.GLOBAL),
    links=links,
    projects=ids,
)
bare_grants = st.builds(
    Grant, view=st.sampled_from([View.PUBLIC, View.SYSTEM]), instance=st.just(INSTANCE)
)
grants = st.one_of(project_grants, write_grants, global_grants, bare_grants)

PUBLIC = Grant(view=View.PUBLIC, instance=INSTANCE)
WRITER = Grant(
    view=View.PROJECT, instance=INSTANCE, role=Role.WRITE, project_id=42, project_path="acme/vision"
)


def verifier(*keys: GrantKey, now: float | None = None, instance: str = INSTANCE) -> GrantVerifier:
    clock = time.time if now is None else lambda: now
    return GrantVerifier(keys or [KEY], instance=instance, clock=clock)


def part(content: object) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def signed(claims: object, *, secret: SecretStr = SECRET, **header: object) -> str:
    """Sign any claims under any header, as somebody who holds the key could."""
    body = f"{part({'alg': 'HS256', 'kid': KEY.id} | header)}.{part(claims)}"
    mac = hmac.digest(derive(secret, Purpose.GRANT), body.encode(), "sha256")
    return f"{body}.{urlsafe_b64encode(mac).decode().rstrip('=')}"


def claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    honest = {
        "iss": "extauthz",
        "aud": "mlflow",
        "iat": now,
        "exp": now + LIFETIME,
        "inst": INSTANCE,
        "view": "project",
        "role": "write",
        "sub": "gitlab:1",
        "name": "alice",
        "id": 42,
        "path": "acme/vision",
        "links": ["", "", ""],
    }
    return {name: value for name, value in (honest | changes).items() if value is not None}


def everywhere(**changes: object) -> dict[str, object]:
    return claims(**{"view": "global", "role": "read", "id": None, "path": None} | changes)


@given(grants)
def test_what_the_edge_signs_the_plugin_opens(grant: Grant) -> None:
    token = GrantSigner(KEY).sign(grant)
    assert token.isascii()
    assert verifier().open(token) == grant


def test_the_hand_made_grants_of_these_tests_are_good() -> None:
    assert verifier().open(signed(claims())).role is Role.WRITE
    assert verifier().open(signed(everywhere(ids="Kg"))).projects == (42,)


def test_a_key_is_called_the_same_in_every_release() -> None:
    """Its name stands in the header of each grant, and those in flight outlive an upgrade."""
    assert GrantKey(SecretStr("a secret that is long enough for a key")).id == "bb46dc6b7268"


@given(st.binary(max_size=200).map(lambda junk: junk.decode("latin-1")))
def test_junk_is_forged(junk: str) -> None:
    with pytest.raises(GrantForged):
        verifier().open(junk)


@given(st.integers(0, 10_000), st.sampled_from("AZaz09-_.="))
def test_any_change_to_a_signed_grant_is_forged_or_changes_nothing(at: int, new: str) -> None:
    token = GrantSigner(KEY).sign(WRITER)
    at %= len(token)
    changed = token[:at] + new + token[at + 1 :]
    with suppress(GrantForged):
        assert verifier().open(changed) == WRITER


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"aud": "other-service"},
        {"aud": ["mlflow"]},
        {"aud": None},
        {"inst": "gitlab.other.org"},
        {"inst": None},
        {"view": "everything"},
        {"view": None},
        {"view": "public"},
        {"view": "global", "id": None, "path": None, "links": None},
        {"role": "admin"},
        {"why": "guest"},
        {"id": 0},
        {"id": -42},
        {"id": "42"},
        {"id": True},
        {"id": None},
        {"path": ""},
        {"path": 7},
        {"path": ["acme/vision"]},
        {"ids": 7},
        {"links": ["", "", 7]},
        {"links": ["", ""]},
        {"links": [1, 2, 3]},
        {"sub": None},
        {"name": 7},
        {"iat": None},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 99_999_999_999},
        {"iat": 0.5},
        {"ids": "gQ"},
    ],
    ids=str,
)
def test_a_signed_grant_with_other_claims_than_ours_is_forged(change: dict[str, object]) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(**change)))


@pytest.mark.parametrize("ids", [7, [42], True, {}], ids=str)
def test_a_signed_list_of_projects_that_is_no_text_is_forged(ids: object) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(everywhere(ids=ids)))


@pytest.mark.parametrize("payload", [[], "text", 7, None], ids=str)
def test_a_signed_payload_that_is_no_object_is_forged(payload: object) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(payload))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "HS512", "RS256", "", None])
def test_another_algorithm_is_forged(alg: object) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(), alg=alg))


@pytest.mark.parametrize(("alg", "digest"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_a_good_signature_of_another_algorithm_is_forged(alg: str, digest: str) -> None:
    """RFC 8725, 3.1: a header must not choose how it is judged, even under our own key."""
    body = f"{part({'alg': alg, 'kid': KEY.id})}.{part(claims())}"
    mac = hmac.digest(derive(SECRET, Purpose.GRANT), body.encode(), digest)
    with pytest.raises(GrantForged):
        verifier().open(f"{body}.{urlsafe_b64encode(mac).decode().rstrip('=')}")


def test_an_unsigned_grant_is_forged() -> None:
    unsigned = f"{part({'alg': 'none', 'kid': KEY.id})}.{part(claims())}."
    with pytest.raises(GrantForged):
        verifier().open(unsigned)


@pytest.mark.parametrize("kid", [None, "", "other", 7, ["x"]], ids=str)
def test_another_key_id_is_forged(kid: object) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(), kid=kid))


def test_a_critical_extension_nobody_knows_is_forged() -> None:
    """RFC 7515, 4.1.11: a recipient must refuse what it does not understand."""
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(), crit=["x"], x=True))


def test_a_wrong_key_is_forged_even_under_the_right_key_id() -> None:
    other = SecretStr("another secret of sufficient length")
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(), secret=other))
    with pytest.raises(GrantForged):
        verifier().open(GrantSigner(GrantKey(other)).sign(WRITER))


def test_the_previous_key_opens_during_rotation() -> None:
    new = GrantKey(SecretStr("the next secret, of sufficient length"))
    assert verifier(new, KEY).open(GrantSigner(KEY).sign(WRITER)) == WRITER
    assert verifier(new, KEY).open(GrantSigner(new).sign(WRITER)) == WRITER


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (-LEEWAY - 1, False),
        (-LEEWAY, True),
        (0, True),
        (LIFETIME, True),
        (LIFETIME + LEEWAY, True),
        (LIFETIME + LEEWAY + 1, False),
    ],
)
def test_a_grant_lives_a_minute_with_some_leeway(age: int, good: bool) -> None:  # noqa: FBT001 - a table column
    token = GrantSigner(KEY, clock=lambda: 1_000_000).sign(WRITER)
    opener = verifier(now=1_000_000 + age)
    if good:
        assert opener.open(token) == WRITER
    else:
        with pytest.raises(GrantExpired):
            opener.open(token)


def test_five_thousand_projects_fit() -> None:
    many = tuple(range(7, 60_000_000, 12_000))
    assert len(many) == 5_000
    grant = Grant(view=View.GLOBAL, instance=INSTANCE, why=Why.GLOBAL, projects=many)
    token = GrantSigner(KEY).sign(grant)
    assert len(token) < 48 * 1024
    assert verifier().open(token) == grant


def test_more_projects_than_fit_are_refused_and_never_cut() -> None:
    many = tuple(range(1, 200_000_000, 10_000))
    with pytest.raises(GrantTooLarge):
        GrantSigner(KEY).sign(Grant(view=View.GLOBAL, instance=INSTANCE, projects=many))


@given(ids)
def test_ids_survive_packing(numbers: tuple[int, ...]) -> None:
    assert unpack_ids(pack_ids(numbers)) == numbers


def test_ids_cut_within_a_number_are_malformed() -> None:
    with pytest.raises(ValueError, match="cut off"):
        unpack_ids(urlsafe_b64encode(b"\x05\xf0").decode().rstrip("="))


@pytest.mark.parametrize("text", ["@@@@", "AQ\n", "A Q", "AQ==", "AQ+/", "\u0661", "A", "AA"])
def test_text_that_packs_no_ids_is_malformed(text: str) -> None:
    """Python's decoder skips characters that are not base64; ids begin at 1."""
    with pytest.raises(ValueError):  # noqa: PT011 - the decoder has words of its own
        unpack_ids(text)
    with pytest.raises(GrantForged):
        verifier().open(signed(everywhere(ids=text)))


@pytest.mark.parametrize(
    "contradiction",
    [
        {"view": View.PROJECT},
        {"view": View.PROJECT, "project_id": 1},
        {"view": View.PUBLIC, "project_id": 1, "project_path": "a/b"},
        {"view": View.PUBLIC, "role": Role.WRITE},
        {"view": View.GLOBAL, "role": Role.WRITE},
        {"view": View.SYSTEM, "role": Role.WRITE},
        {"view": View.PUBLIC, "projects": (1,)},
        {"view": View.GLOBAL, "projects": (2, 1)},
        {"view": View.GLOBAL, "projects": (1, 1)},
        {
            "view": View.PROJECT,
            "project_id": 1,
            "project_path": "a/b",
            "role": Role.WRITE,
            "why": Why.STALE,
        },
    ],
    ids=str,
)
def test_a_contradictory_grant_cannot_be_made(contradiction: dict[str, Any]) -> None:
    with pytest.raises(GrantForged):
        Grant(instance=INSTANCE, **contradiction)


def test_the_name_of_a_key_is_the_same_in_every_release() -> None:
    """During an upgrade the edge and MLflow need not be of one release."""
    assert KEY.id == "1141457559c8"


def test_a_grant_says_for_whom_by_whom_and_for_how_long() -> None:
    header, payload, _ = GrantSigner(KEY, clock=lambda: 1_000.9).sign(WRITER).split(".")
    read = [json.loads(urlsafe_b64decode(f"{text}==")) for text in (header, payload)]
    assert read[0] == {"alg": "HS256", "typ": "JWT", "kid": KEY.id}
    assert read[1] == {
        "iss": "extauthz",
        "aud": "mlflow",
        "iat": 1_000,
        "exp": 1_060,
        "inst": INSTANCE,
        "view": "project",
        "role": "write",
        "sub": "",
        "name": "",
        "id": 42,
        "path": "acme/vision",
        "links": ["", "", ""],
    }


@pytest.mark.parametrize("seconds", [0, -1, LIFETIME + 1])
def test_a_grant_of_another_length_of_life_than_ours_is_forged(seconds: int) -> None:
    with pytest.raises(GrantForged):
        verifier().open(signed(claims(exp=int(time.time()) + seconds, iat=int(time.time()))))


@pytest.mark.parametrize(
    ("numbers", "text"),
    [((), ""), ((1,), "AQ"), ((127,), "fw"), ((128,), "gAE"), ((300, 427), "rAJ_")],
)
def test_ids_are_packed_alike_in_every_release(numbers: tuple[int, ...], text: str) -> None:
    """LEB128: seven bits a byte, the lowest first, and the highest bit set but on the last."""
    assert pack_ids(numbers) == text
    assert unpack_ids(text) == numbers


def test_only_as_many_projects_as_fit_are_packed() -> None:
    """24 KiB of text hold 18,432 bytes: one for each of that many ids in a row."""
    assert len(pack_ids(range(1, 18_433))) == 24 * 1024
    with pytest.raises(GrantTooLarge):
        pack_ids(range(1, 18_434))


def test_a_header_longer_than_any_of_ours_is_not_even_read() -> None:
    token = signed(claims(name="x" * 40_000))
    assert len(token) > LONGEST_TOKEN
    with pytest.raises(GrantForged, match="too long"):
        verifier().open(token)


def test_keys_are_not_shown() -> None:
    assert SECRET.get_secret_value() not in repr(KEY)
    assert repr(KEY) == f"GrantKey({KEY.id})"
