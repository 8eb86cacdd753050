import asyncio
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import combinations_with_replacement

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from extauthz.edge.credentials import Credential, Kind
from extauthz.edge.outage import Busy, Down, Throttled, Unreachable
from extauthz.edge.provider import Asker
from extauthz.edge.refusals import Forbidden, NotFound, TooManyAttempts, Unauthenticated
from extauthz.edge.throttle import (
    MOST_ADDRESSES,
    MOST_REFUSALS,
    SECONDS_PER_REFUSAL,
    Throttle,
)
from tests.access import Clock, asker

Attempt = AbstractContextManager[None]
HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(clock=clock)


def _from(client: str, *, proven: bool = False) -> Asker:
    made = asker("made-up", proven=proven)
    return replace(made, credential=replace(made.credential, client=client))


def _of_kind(kind: Kind) -> Asker:
    return Asker(Credential(kind, SecretStr("secret"), client=HERE), b"name")


def _try(throttle: Throttle, who: Asker, outcome: BaseException) -> None:
    with pytest.raises(type(outcome)), throttle.attempt(who):
        raise outcome


def _refuse(throttle: Throttle, who: Asker, times: int = 1) -> None:
    for _ in range(times):
        _try(throttle, who, Unauthenticated("no"))


def _end(attempt: Attempt, outcome: Exception | None = None) -> None:
    assert not attempt.__exit__(type(outcome) if outcome else None, outcome, None)


def _must_wait(throttle: Throttle, who: Asker) -> int:
    """Return for how many seconds somebody is told to wait, 0 if not at all."""
    try:
        with throttle.attempt(who):
            return 0
    except TooManyAttempts as refusal:
        return refusal.retry_after


def test_so_many_refusals_at_once_and_then_one_every_few_seconds(
    throttle: Throttle, clock: Clock
) -> None:
    _refuse(throttle, _from(HERE), MOST_REFUSALS)
    for _ in range(3):
        assert _must_wait(throttle, _from(HERE)) == SECONDS_PER_REFUSAL
        clock.pass_by(SECONDS_PER_REFUSAL - 0.5)
        assert _must_wait(throttle, _from(HERE)) == 1
        clock.pass_by(0.5)
        _refuse(throttle, _from(HERE))

    clock.pass_by(MOST_REFUSALS * SECONDS_PER_REFUSAL)
    _refuse(throttle, _from(HERE), MOST_REFUSALS)
    assert _must_wait(throttle, _from(HERE))


def test_it_says_what_to_do(throttle: Throttle) -> None:
    _refuse(throttle, _from(HERE), MOST_REFUSALS)

    with pytest.raises(TooManyAttempts, match="check MLFLOW_TRACKING_TOKEN") as caught:
        throttle.attempt(_from(HERE)).__enter__()

    assert caught.value.status == 429


@pytest.mark.parametrize(
    "outcome",
    [
        Forbidden("blocked"),
        NotFound("nothing"),
        Busy(),
        Down("trouble"),
        Unreachable("down"),
        ValueError("a defect"),
        asyncio.CancelledError(),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_what_says_nothing_against_the_credential_costs_nothing(
    throttle: Throttle, outcome: BaseException
) -> None:
    for _ in range(10 * MOST_REFUSALS):
        _try(throttle, _from(HERE), outcome)

    _refuse(throttle, _from(HERE), MOST_REFUSALS)


def test_a_limit_at_the_provider_counts(throttle: Throttle) -> None:
    """Or one address could keep the provider at its limit of us, and every newcomer out."""
    for _ in range(MOST_REFUSALS):
        _try(throttle, _from(HERE), Throttled("slow down"))

    assert _must_wait(throttle, _from(HERE))


def test_attempts_under_way_count_until_they_end(throttle: Throttle, clock: Clock) -> None:
    attempts = [throttle.attempt(_from(HERE)) for _ in range(MOST_REFUSALS)]
    for attempt in attempts:
        attempt.__enter__()
    clock.pass_by(3600)
    assert _must_wait(throttle, _from(HERE)) == SECONDS_PER_REFUSAL
    assert not _must_wait(throttle, _from(THERE))

    _end(attempts[0])

    assert not _must_wait(throttle, _from(HERE))


@pytest.mark.parametrize(
    "who",
    [_from(HERE, proven=True), _of_kind(Kind.VISITOR), _of_kind(Kind.LOGIN), _from("")],
    ids=["known", "visitor", "login", "no address"],
)
def test_some_are_never_held_up_and_never_counted(throttle: Throttle, who: Asker) -> None:
    _refuse(throttle, who, 10 * MOST_REFUSALS)
    assert not _must_wait(throttle, _from(HERE))

    _refuse(throttle, _from(HERE), MOST_REFUSALS)
    assert not _must_wait(throttle, who)


@pytest.mark.parametrize("kind", [Kind.TOKEN, Kind.JOB, Kind.SHARINGHUB_SESSION])
def test_what_anybody_can_make_up_is_counted_together(throttle: Throttle, kind: Kind) -> None:
    _refuse(throttle, _of_kind(kind), MOST_REFUSALS)

    assert _must_wait(throttle, _from(HERE))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff"),
        ("2001:db8:0:1::1", "2001:0DB8:0000:0001::2"),
        ("fe80::1", "fe80::2%eth0"),
        (HERE, f"::ffff:{HERE}"),
        (HERE, "::ffff:c000:201"),
        ("somebody", "unix:/tmp/socket"),
        ("somebody", f"{HERE}:4711"),
        ("somebody", f"{HERE}, {THERE}"),
        ("somebody", " "),
    ],
)
def test_some_addresses_are_the_same(throttle: Throttle, one: str, other: str) -> None:
    _refuse(throttle, _from(one), MOST_REFUSALS)

    assert _must_wait(throttle, _from(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HERE, THERE),
        (HERE, "somebody"),
        (HERE, f"::{HERE}"),
        ("2001:db8:0:1::1", "2001:db8:0:2::1"),
        ("::1", "127.0.0.1"),
    ],
)
def test_others_are_not(throttle: Throttle, one: str, other: str) -> None:
    _refuse(throttle, _from(one), MOST_REFUSALS)

    assert not _must_wait(throttle, _from(other))


def test_it_remembers_only_so_many_addresses(throttle: Throttle) -> None:
    """No crowd of others makes it forget one that comes all the time."""
    _refuse(throttle, _from("198.51.100.1"), MOST_REFUSALS)
    for number in range(50_000):
        _refuse(throttle, _from(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
        if number % 5_000 == 0:
            assert _must_wait(throttle, _from("198.51.100.1"))

    assert len(throttle) == MOST_ADDRESSES


def test_an_attempt_whose_address_was_forgotten_meanwhile_ends_well(throttle: Throttle) -> None:
    attempt = throttle.attempt(_from(HERE))
    attempt.__enter__()
    for number in range(MOST_ADDRESSES):
        _refuse(throttle, _from(f"10.0.{number >> 8}.{number & 255}"))

    _end(attempt, Unauthenticated("no"))

    _refuse(throttle, _from(HERE), MOST_REFUSALS)
    assert _must_wait(throttle, _from(HERE))


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 25)),
        st.tuples(st.just("refuse"), st.integers(1, 25)),
        st.tuples(st.just("accept"), st.integers(1, 25)),
        # Exact in binary, so that it can be compared with what it adds up to.
        st.tuples(st.just("wait"), st.integers(0, 400).map(lambda eighths: eighths / 8)),
    ),
    max_size=60,
)


@given(_STEPS)
def test_no_span_of_time_has_more_refusals_than_allowed(
    steps: list[tuple[str, float]],
) -> None:
    clock = Clock(0)
    throttle = Throttle(clock=clock)
    under_way: list[Attempt] = []
    refused_at: list[float] = []
    for step, number in steps:
        match step:
            case "wait":
                clock.pass_by(number)
            case "begin":
                under_way += _begun(throttle, int(number))
            case "refuse":
                refused_at += [clock.now for _ in under_way[: int(number)]]
                for attempt in under_way[: int(number)]:
                    _end(attempt, Unauthenticated("no"))
                del under_way[: int(number)]
            case _:
                for attempt in under_way[: int(number)]:
                    _end(attempt)
                del under_way[: int(number)]

    for start, end in combinations_with_replacement(sorted(set(refused_at)), 2):
        refusals = sum(start <= at <= end for at in refused_at)
        assert refusals <= MOST_REFUSALS + (end - start) / SECONDS_PER_REFUSAL


def _begun(throttle: Throttle, times: int) -> list[Attempt]:
    """Begin attempts, as many as are let in."""
    begun: list[Attempt] = []
    for _ in range(times):
        attempt = throttle.attempt(_from(HERE))
        try:
            attempt.__enter__()
        except TooManyAttempts:
            break
        begun.append(attempt)
    return begun


@given(_STEPS)
def test_who_waits_as_long_as_he_is_told_is_let_in(steps: list[tuple[str, float]]) -> None:
    clock = Clock(0)
    throttle = Throttle(clock=clock)
    for step, number in steps:
        match step:
            case "wait":
                clock.pass_by(number)
            case "refuse":
                for attempt in _begun(throttle, int(number)):
                    _end(attempt, Unauthenticated("no"))
    if seconds := _must_wait(throttle, _from(HERE)):
        clock.pass_by(seconds)

    assert not _must_wait(throttle, _from(HERE))
