import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from extauthz.edge.breaker import Breaker, State
from tests.access import Clock

THRESHOLD = 3
PAUSE = 5.0
CALLERS = st.sampled_from([None, "ann", "bob", "cat"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(threshold=THRESHOLD, pause=PAUSE, clock=clock)


def _fail(breaker: Breaker, times: int, *, retry_after: float = 0) -> None:
    for _ in range(times):
        assert breaker.admit()
        breaker.fail(retry_after=retry_after)


def test_failures_in_a_row_open_it(breaker: Breaker) -> None:
    _fail(breaker, THRESHOLD)

    assert breaker.state is State.OPEN
    assert not breaker.admit()
    assert breaker.wait == PAUSE


def test_a_success_in_between_starts_the_count_again(breaker: Breaker) -> None:
    _fail(breaker, THRESHOLD - 1)
    breaker.succeed()
    _fail(breaker, THRESHOLD - 1)

    assert breaker.admit()


def test_one_probe_goes_out_after_the_pause(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, THRESHOLD)
    clock.pass_by(PAUSE - 0.001)
    assert not breaker.admit()

    clock.pass_by(0.001)

    assert [breaker.admit() for _ in range(5)] == [True, False, False, False, False]


def test_a_probe_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, THRESHOLD)
    clock.pass_by(PAUSE)
    breaker.admit()

    breaker.succeed()

    assert breaker.state is State.CLOSED
    _fail(breaker, THRESHOLD - 1)
    assert breaker.state is State.CLOSED


def test_a_probe_that_fails_starts_the_pause_again(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, THRESHOLD)
    clock.pass_by(PAUSE)

    _fail(breaker, 1)

    assert breaker.state is State.OPEN
    assert breaker.wait == PAUSE


def test_an_abandoned_probe_makes_room_for_the_next(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, THRESHOLD)
    clock.pass_by(PAUSE)
    breaker.admit()

    breaker.abandon()

    assert breaker.admit()


def test_the_server_may_ask_for_a_longer_pause(breaker: Breaker, clock: Clock) -> None:
    _fail(breaker, THRESHOLD, retry_after=20)
    assert breaker.wait == 20

    clock.pass_by(20)

    assert breaker.admit()


def test_one_caller_alone_does_not_open_it(breaker: Breaker) -> None:
    for _ in range(3 * THRESHOLD):
        breaker.fail("ann")
    assert breaker.admit("ann")

    for who in range(THRESHOLD - 1):
        breaker.fail(who)

    assert not breaker.admit("ann")


def test_who_failed_last_leaves_the_probe_to_others_for_a_pause(
    breaker: Breaker, clock: Clock
) -> None:
    for who in ("bob", "cat", "ann"):
        breaker.fail(who)
    clock.pass_by(PAUSE)
    assert not breaker.admit("ann")
    assert breaker.admit("bob")
    breaker.fail("bob")
    clock.pass_by(2 * PAUSE - 0.001)
    assert not breaker.admit("bob")

    clock.pass_by(0.001)

    assert breaker.admit("bob")


class AnyOrder(RuleBasedStateMachine):
    """Calls that begin and end in any order while time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.breaker = Breaker(threshold=THRESHOLD, pause=PAUSE, clock=self.clock)
        self.under_way = 0
        self.failing: set[object] = set()
        self.last_failure = self.clock()

    @rule(who=CALLERS)
    def begin(self, who: str | None) -> None:
        state, wait = self.breaker.state, self.breaker.wait
        admitted = self.breaker.admit(who)
        self.under_way += admitted
        if state is State.CLOSED or (state is State.OPEN and not wait and who is None):
            assert admitted
        if state is State.OPEN and admitted:
            assert self.breaker.state is State.HALF_OPEN
        if state is State.HALF_OPEN:
            assert not admitted

    @precondition(lambda self: self.under_way)
    @rule()
    def succeed(self) -> None:
        self.under_way -= 1
        self.failing.clear()
        self.breaker.succeed()
        assert self.breaker.state is State.CLOSED

    @precondition(lambda self: self.under_way)
    @rule(who=CALLERS)
    def fail(self, who: str | None) -> None:
        self.under_way -= 1
        self.failing.add(who or object())
        self.last_failure = self.clock()
        self.breaker.fail(who)
        assert self.breaker.state is not State.HALF_OPEN

    @precondition(lambda self: self.under_way)
    @rule()
    def abandon(self) -> None:
        self.under_way -= 1
        self.breaker.abandon()
        assert self.breaker.state is not State.HALF_OPEN

    @rule(seconds=st.integers(0, 10))
    def wait(self, seconds: int) -> None:
        self.clock.pass_by(seconds)

    @invariant()
    def is_closed_until_the_threshold(self) -> None:
        assert (self.breaker.state is State.CLOSED) == (len(self.failing) < THRESHOLD)

    @invariant()
    def never_stays_shut_for_longer_than_a_pause(self) -> None:
        assert 0 <= self.breaker.wait <= PAUSE
        if self.breaker.state is State.OPEN and self.clock() >= self.last_failure + PAUSE:
            assert self.breaker.wait == 0

    @invariant()
    def has_a_call_under_way_when_half_open(self) -> None:
        assert self.breaker.state is not State.HALF_OPEN or self.under_way


TestAnyOrder = AnyOrder.TestCase
