import pytest

from extauthz.edge.callers import Callers
from extauthz.edge.outage import Throttled
from extauthz.edge.refusals import Forbidden, NotFound, Refusal, Unauthenticated, Unavailable
from tests.access import Clock

ANN, BOB = b"ann", b"bob"
HERE, THERE = "acme/here", "acme/there"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def callers(clock: Clock) -> Callers:
    return Callers(clock=clock)


def _refused(callers: Callers, who: bytes, place: str) -> bool:
    try:
        callers.check(who, place)
    except Refusal:
        return True
    return False


def test_refused_tokens_never_crowd_out_accepted_ones(callers: Callers, clock: Clock) -> None:
    accepted = callers.accept(ANN, until=clock() + 60)
    for number in range(30_000):
        callers.refuse(b"%d" % number, HERE, Unauthenticated("no"))

    assert callers.get(ANN) is accepted
    assert _refused(callers, b"29999", HERE)
    assert not _refused(callers, b"0", HERE)


@pytest.mark.parametrize(
    ("refusal", "seconds"),
    [
        (Unauthenticated("no"), 30),
        (Forbidden("no"), 30),
        (Throttled("slow down", retry_after=7), 7),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_refusal_of_the_credential_holds_everywhere_for_a_while(
    callers: Callers, clock: Clock, refusal: Refusal, seconds: float
) -> None:
    callers.refuse(ANN, HERE, refusal)

    clock.pass_by(seconds - 0.1)
    assert _refused(callers, ANN, HERE)
    assert _refused(callers, ANN, THERE)
    assert not _refused(callers, BOB, HERE)
    clock.pass_by(0.1)
    assert not _refused(callers, ANN, HERE)


def test_a_caller_stays_known_when_what_is_known_of_him_has_ended(
    callers: Callers, clock: Clock
) -> None:
    callers.accept(ANN, until=clock())
    clock.pass_by(3600)

    assert callers.knows(ANN)
    assert not callers.knows(BOB)


@pytest.mark.parametrize(
    ("refusal", "stays"),
    [(Unauthenticated("no"), False), (Forbidden("no"), False), (NotFound("nothing"), True)],
    ids=lambda value: type(value).__name__,
)
def test_who_is_refused_is_not_known_any_more(
    callers: Callers, clock: Clock, refusal: Refusal, *, stays: bool
) -> None:
    callers.accept(ANN, until=clock() + 60)

    callers.refuse(ANN, HERE, refusal)

    assert callers.knows(ANN) is stays


def test_a_missing_project_is_missing_only_there(callers: Callers, clock: Clock) -> None:
    callers.refuse(ANN, HERE, NotFound("nothing"))

    assert _refused(callers, ANN, HERE)
    assert not _refused(callers, ANN, THERE)
    clock.pass_by(15)
    assert not _refused(callers, ANN, HERE)


def test_unavailability_is_not_remembered(callers: Callers) -> None:
    callers.refuse(ANN, HERE, Unavailable("later"))

    assert not _refused(callers, ANN, HERE)


@pytest.mark.parametrize(
    ("refusal", "stays"),
    [
        (Unauthenticated("no"), False),
        (Forbidden("no"), False),
        (NotFound("nothing"), True),
        (Throttled("slow down"), True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_refusal_of_the_credential_ends_what_hangs_on_it(
    callers: Callers, clock: Clock, refusal: Refusal, *, stays: bool
) -> None:
    before = callers.accept(ANN, until=clock() + 60)

    callers.refuse(ANN, HERE, refusal)

    assert (callers.accept(ANN, until=clock() + 60) is before) is stays
