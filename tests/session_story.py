"""What has happened to a session, and so may happen to it: a model to judge the real one by.

It keeps what may explain that somebody has to sign in again. Whatever it cannot explain is a
defect, and so is an access that it knows to be over.
"""

from dataclasses import dataclass
from typing import Final

from extauthz.edge.session import SECONDS_AT_MOST
from tests.sessions import Answer

IDLE: Final = 30 * 3_600.0
# A browser is told of its own activity when a twentieth of that has passed.
TOLD: Final = IDLE * 19 / 20
# Between our clock and Redis', which cannot be moved.
MARGIN: Final = 90.0
# After an outage nobody has to wait any more, and a revoked token is asked for again.
CALM: Final = 31.0


@dataclass(frozen=True, slots=True)
class Moment:
    """When something is asked, and how GitLab is: `calm_at` is when its last outage is over."""

    now: float
    down: bool
    calm_at: float

    @property
    def in_trouble(self) -> bool:
        """Whether an answer may still be missing because of an outage."""
        return self.down or self.now < self.calm_at


@dataclass(eq=False)
class Story:
    """What has happened to one session.

    `asked` is when its cookie was last used, `told` when its browser last got an answer. `newest`
    counts the refreshes that anybody was told of, which only a cookie has to keep up with. `late`
    tells that GitLab may end a refreshed pair only with the first use of the new one: a logout
    before that leaves the old pair alive, and it is in an old cookie.
    """

    user: str
    began: float
    asked: float
    told: float
    cookies: list[str]
    in_cookies: bool
    newest: int = 0
    signed_out: bool = False
    gone: bool = False
    revoked: float | None = None
    behind: bool = False
    torn: bool = False
    late: bool = False

    def judge(self, answer: Answer, moment: Moment, *, slow: bool) -> None:
        """Fail unless what has happened explains an answer."""
        match answer.status:
            case 200:
                self._judge_access(answer, moment)
            case 401:
                assert self.is_over(moment.now), "signed out for no reason"
            case 503:
                assert moment.in_trouble or slow, answer.outcome
            case _:
                raise AssertionError(answer.outcome)

    def is_over(self, now: float) -> bool:
        """Tell whether its user may have to sign in again."""
        return (
            self.signed_out
            or self.gone
            or self.revoked is not None
            or self.torn
            or (self.behind and self.in_cookies)
            or now - self.told > TOLD - MARGIN
            or now - self.began > SECONDS_AT_MOST - MARGIN
        )

    def _judge_access(self, answer: Answer, moment: Moment) -> None:
        assert answer.access.user.name == self.user
        assert not self.signed_out
        assert not self.gone
        assert moment.now - self.asked <= IDLE + MARGIN
        assert moment.now - self.began <= SECONDS_AT_MOST
        if self.revoked is not None:
            assert moment.now <= max(self.revoked, moment.calm_at) + CALM or moment.down
