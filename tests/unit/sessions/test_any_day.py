"""Sessions in any order of events: never somebody else's, never after a logout, never lost.

Some days in the suite, as what must not happen between two requests has tests of its own beside
this one; `FUZZ=deep pytest -n 0 tests/unit/sessions/test_any_day.py` has many.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from typing import TypeVar

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

from extauthz.edge.refusals import Unauthenticated, Unavailable
from tests.access import credential, settled
from tests.gitlab import GitLab
from tests.servers.redis import RedisServer
from tests.session_story import CALM, IDLE, Moment, Story
from tests.sessions import ENDED, PROJECT, SEAL, Answer, Deployment, Replica, unsealed
from tests.tenants import unique

T = TypeVar("T")
HOUR = 3_600.0
# So long nobody waits for a refresh while his tokens are good.
SLOW = 0.9
SETTINGS = settings(
    max_examples=1_000 if os.environ.get("FUZZ") == "deep" else 15,
    stateful_step_count=25,
    deadline=None,
    # To explain a failure takes longer than a test may.
    phases=[phase for phase in Phase if phase is not Phase.explain],
    suppress_health_check=[HealthCheck.too_slow],
)
SOMEBODY = st.integers(0, 3)
REPLICA = st.integers(0, 1)
REPLICAS = st.lists(REPLICA, min_size=1, max_size=5)
LOST = st.sets(st.integers(0, 4))
OUTAGES = st.sampled_from(
    [
        ("error", {"status": 503}),
        ("html", {"status": 502}),
        ("reset", {}),
        ("throttle", {"seconds": 5}),
        ("error", {"status": 500, "path": "/oauth/"}),
    ]
)


@dataclass(eq=False)
class Browser:
    """A browser of somebody, who may be signed in."""

    user: str
    cookie: str = ""
    story: Story | None = None


@dataclass(eq=False)
class Running:
    """A replica, and what ends it."""

    replica: Replica
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)


class AnyDay(RuleBasedStateMachine):
    """Two people with two browsers each, before one or two replicas."""

    def __init__(self, gitlab: GitLab, redis: RedisServer | None) -> None:
        super().__init__()
        gitlab.heal()
        # Each count of refreshes reads the whole log.
        gitlab.forget_calls()
        self.gitlab, self.redis = gitlab, redis
        self.deployment = Deployment.of(gitlab, redis)
        self.deployment.idle = IDLE
        self.runner = asyncio.Runner()
        users = self.deployment.users("ann", "bob")
        self.browsers = [Browser(user) for user in users * 2]
        self.stories: list[Story] = []
        self.running = [self._started() for _ in range(2 if redis else 1)]
        self.down, self.calm_at, self.probed = False, 0.0, True
        self.late = False

    @rule(who=SOMEBODY, where=REPLICAS, lost=LOST)
    def ask(self, who: int, where: Sequence[int], lost: set[int]) -> None:
        """Some requests at once; the answers to some of them never arrive."""
        for browser, story in self._signed_in([self.browsers[who]]):
            asked = [self._replica(each).ask(browser.cookie) for each in where]
            answers = self._answered([story] * len(where), asked)
            for number, answer in enumerate(answers):
                if number not in lost:
                    self._arrive(browser, story, answer)

    @rule(where=REPLICAS)
    def everybody_asks(self, where: Sequence[int]) -> None:
        """All browsers at once, twice."""
        asking = self._signed_in(self.browsers) * 2
        asked = [
            self._replica(each).ask(browser.cookie)
            for each, (browser, _) in zip(cycle(where), asking, strict=False)
        ]
        answers = self._answered([story for _, story in asking], asked)
        for (browser, story), answer in zip(asking, answers, strict=True):
            self._arrive(browser, story, answer)

    @precondition(lambda self: self.stories)
    @rule(story=st.integers(0, 20), cookie=st.integers(0, 20), where=REPLICA)
    def replay(self, story: int, cookie: int, where: int) -> None:
        """Somebody has a copy of a cookie, an old one or the one in use."""
        copied = self.stories[story % len(self.stories)]
        copy = copied.cookies[cookie % len(copied.cookies)]
        (answer,) = self._answered([copied], [self._replica(where).ask(copy)], old=True)
        if answer.status == 200 and answer.cookie not in copied.cookies:
            copied.cookies.append(answer.cookie)

    @rule(who=SOMEBODY, where=REPLICA, amid=st.lists(REPLICA, max_size=5), first=st.booleans())
    def sign_out(self, who: int, where: int, amid: Sequence[int], *, first: bool) -> None:
        """Sign out, perhaps while other requests are under way."""
        for browser, story in self._signed_in([self.browsers[who]]):
            asks: list[Awaitable[Answer | bool]] = [
                self._replica(each).ask(browser.cookie) for each in amid
            ]
            logout: Awaitable[Answer | bool] = self._logout(where, browser.cookie)
            began = time.monotonic()
            outcomes = self._together([logout, *asks] if first else [*asks, logout])
            slow = time.monotonic() - began > SLOW
            answers = [each for each in outcomes if isinstance(each, Answer)]
            for answer in answers:
                self._note(story, answer)
                self._arrive(browser, story, answer)
            if True in outcomes:
                assert {answer.status for answer in answers} <= {200, 401, 503}
                self._signed_out(browser, story)
            else:
                assert self.moment.in_trouble or slow
                for answer in answers:
                    story.judge(answer, self.moment, slow=slow)

    @rule(which=REPLICA)
    def restart(self, which: int) -> None:
        """End a process and start another one in its place."""
        which %= len(self.running)
        self._run(self.running[which].stack.aclose())
        self.running[which] = self._started()
        if self.redis is None:
            self.stories = [each for each in self.stories if not (each.signed_out and each.late)]
        for browser in self.browsers:
            # What only the process knew.
            story = browser.story
            if story and self._generation(browser.cookie) < story.newest:
                story.behind = True

    @rule(who=SOMEBODY, times=st.integers(1, 4), moment=st.sampled_from([0, 0.002, 0.005, 0.02]))
    def crash_amid_requests(self, who: int, times: int, moment: float) -> None:
        """Let a process die, so that no answer arrives."""
        for browser, story in self._signed_in([self.browsers[who]]):
            before = self.deployment.refreshes()
            self._run(self._crash(browser.cookie, times, moment))
            # GitLab may have made a pair that nobody has written down.
            story.torn = story.torn or self.deployment.refreshes() > before
            story.asked = self.now
            self.restart(0)

    @rule(seconds=st.sampled_from([20, 40, 2_000, 6_800, 7_000, 7_300, 9 * HOUR, 31 * HOUR]))
    def time_passes(self, seconds: float) -> None:
        self.deployment.pass_by(seconds)
        if seconds >= ENDED:
            for browser in self.browsers:
                self.gitlab.expire_access_tokens(browser.user)

    @rule(outage=OUTAGES)
    def gitlab_goes_down_or_comes_back(self, outage: tuple[str, dict[str, object]]) -> None:
        if self.down:
            self.gitlab.heal()
            self.calm_at, self.probed = self.now + CALM, False
        else:
            self.gitlab.faults(outage[0], **outage[1])
        self.down = not self.down

    @rule(mishap=st.sampled_from(["late", "revoke", "flush"]), who=SOMEBODY)
    def something_happens(self, mishap: str, who: int) -> None:
        if mishap == "late":
            self.late = not self.late
            self.deployment.tamper(late_revocation=self.late)
        elif mishap == "revoke":
            self._revoke(self.browsers[who].user)
        elif self.redis:
            with self.redis.client() as client:
                client.flushall()
            for story in self.stories:
                story.gone = True

    @invariant()
    def keeps_nothing_of_a_session_that_was_signed_out(self) -> None:
        ended = [story for story in self.stories if story.signed_out]
        if self.redis and ended:
            with self.redis.client() as client:
                assert client.exists(*map(_record, ended)) == 0

    def teardown(self) -> None:
        """In the end all is well again, and everybody is where he should be."""
        try:
            self.gitlab.heal()
            self.deployment.pass_by(CALM)
            self.down, self.calm_at, self.probed = False, self.now, False
            self.everybody_asks([0])
            for which in range(len(self.running)):
                self.restart(which)
            for story in self.stories:
                if story.signed_out:
                    for cookie in story.cookies:
                        assert self._run(self._replica(1).ask(cookie)).status == 401
        finally:
            for running in self.running:
                self._run(running.stack.aclose())
            self.runner.close()

    @property
    def now(self) -> float:
        return self.deployment.time.passed

    @property
    def moment(self) -> Moment:
        return Moment(self.now, self.down, self.calm_at)

    def _signed_in(self, browsers: Sequence[Browser]) -> list[tuple[Browser, Story]]:
        """Return those who are signed in, now at the latest if they can."""
        self._probe()
        for browser in browsers:
            if browser.story is None and not self.down:
                self._sign_in(browser)
        return [(browser, browser.story) for browser in browsers if browser.story]

    def _probe(self) -> None:
        """After an outage let one request find out that it is over, as the breakers do."""
        if self.probed or self.moment.in_trouble:
            return
        self.probed = True
        for running in self.running:
            oidc, accesses = running.replica.oidc, running.replica.accesses
            self._run(oidc.revoke(SecretStr("nobody's")))
            nobody = credential(unique("nobody"))
            with pytest.raises(Unauthenticated):
                self._run(settled(accesses.in_project(nobody, PROJECT)))

    def _sign_in(self, browser: Browser) -> None:
        try:
            browser.cookie = self._run(self._replica(0).sign_in(browser.user))
        except Unavailable:
            assert self.moment.in_trouble
            return
        browser.story = Story(
            browser.user, self.now, self.now, self.now, [browser.cookie], self.redis is None
        )
        self.stories.append(browser.story)

    def _replica(self, where: int) -> Replica:
        return self.running[where % len(self.running)].replica

    def _answered(
        self, stories: Sequence[Story], asked: Sequence[Awaitable[Answer]], *, old: bool = False
    ) -> list[Answer]:
        """Return the answers once they are judged; an `old` cookie may have ended already."""
        self._probe()
        began = time.monotonic()
        answers = self._together(asked)
        slow = time.monotonic() - began > SLOW
        for story, answer in zip(stories, answers, strict=True):
            # Whoever was answered before the refresh came has not been told of it.
            story.behind = story.behind or slow
            if not (old and answer.status == 401):
                story.judge(answer, self.moment, slow=slow)
            self._note(story, answer)
        return answers

    def _note(self, story: Story, answer: Answer) -> None:
        """Take note of what the process that answered knows, whether or not it arrives."""
        story.late = story.late or self.late
        if answer.status != 401:
            story.asked = self.now
            story.newest = max(story.newest, self._generation(answer.cookie))

    def _arrive(self, browser: Browser, story: Story, answer: Answer) -> None:
        if answer.status == 401:
            browser.story = None
            return
        story.told = self.now
        browser.cookie = answer.cookie
        if answer.cookie not in story.cookies:
            story.cookies.append(answer.cookie)

    def _signed_out(self, browser: Browser, story: Story) -> None:
        browser.story = None
        if story.is_over(self.now):
            # There was perhaps nothing left to sign out of, and a copy may be newer than that.
            self.stories.remove(story)
        else:
            story.signed_out = True

    def _generation(self, cookie: str) -> int:
        return 0 if self.redis else unsealed(cookie).generation

    def _started(self) -> Running:
        async def start() -> Running:
            stack = AsyncExitStack()
            return Running(await stack.enter_async_context(self.deployment.replica()), stack)

        return self._run(start())

    def _revoke(self, user: str) -> None:
        """Take back at GitLab what a user has allowed."""
        self.gitlab.revoke_applications(user)
        for story in self.stories:
            if story.user == user and story.revoked is None:
                story.revoked = self.now

    async def _crash(self, cookie: str, times: int, moment: float) -> None:
        replica = self.running[0].replica
        asks = [asyncio.create_task(replica.ask(cookie)) for _ in range(times)]
        await asyncio.sleep(moment)
        for ask in asks:
            ask.cancel()
        await replica.crash()
        await asyncio.gather(*asks, return_exceptions=True)

    async def _logout(self, where: int, cookie: str) -> bool:
        try:
            await self._replica(where).sign_out(cookie)
        except Unavailable:
            return False
        return True

    def _together(self, asked: Sequence[Awaitable[T]]) -> list[T]:
        async def all_of_them() -> list[T]:
            answers = await asyncio.gather(*asked)
            for running in self.running:
                await running.replica.idle()
            return answers

        return self._run(all_of_them())

    def _run(self, task: Awaitable[T]) -> T:
        async def run() -> T:
            return await task

        return self.runner.run(run())


def _record(story: Story) -> str:
    """Return the name under which Redis keeps a session."""
    id_, _ = json.loads(SEAL.open("ticket", story.cookies[0]))
    return f"extauthz:session:{id_}"


def _machine(gitlab: GitLab, redis: RedisServer | None) -> type[AnyDay]:
    """Return what makes a machine; Hypothesis calls it, whatever it is."""
    return partial(AnyDay, gitlab, redis)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    """Thousands of lines would hide what fails."""
    with structlog.testing.capture_logs():
        yield


@pytest.mark.timeout(600)
def test_a_session_in_a_cookie_goes_on_and_ends_as_it_should(running: GitLab) -> None:
    run_state_machine_as_test(_machine(running, None), settings=SETTINGS)


@pytest.mark.timeout(600)
def test_a_session_in_redis_goes_on_and_ends_as_it_should(
    running: GitLab, redis: RedisServer
) -> None:
    run_state_machine_as_test(_machine(running, redis), settings=SETTINGS)
