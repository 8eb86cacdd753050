"""The upstream against a demo GitLab that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest
from structlog.testing import capture_logs

from extauthz.edge.operations import Operation
from extauthz.edge.outage import Down, Outage, Throttled, Unreachable
from extauthz.edge.refusals import Unavailable
from extauthz.edge.upstream import Answer, Call
from tests.access import TIMEOUT
from tests.gitlab import GitLab
from tests.servers.ports import free_port
from tests.upstream import CALL, QUERY, Observed, asking


@pytest.fixture
def gitlab(running: GitLab) -> GitLab:
    running.reset()
    return running


@pytest.fixture
async def upstream(gitlab: GitLab) -> AsyncIterator[Observed]:
    async with asking(gitlab.url) as upstream:
        yield upstream


async def test_a_definite_answer_is_returned_whatever_its_status(upstream: Observed) -> None:
    answer = await upstream.ask()

    assert answer == Answer(401, {"message": "401 Unauthorized"})


async def test_a_body_is_posted_as_json(upstream: Observed) -> None:
    assert await upstream.ask(QUERY) == Answer(200, {"data": {"currentUser": None}})


async def test_a_redirect_is_returned_and_not_followed(gitlab: GitLab, upstream: Observed) -> None:
    gitlab.faults("redirect", location="https://evil.example.org/api/v4/user", times=1)

    answer = await upstream.ask()

    assert answer == Answer(302, location="https://evil.example.org/api/v4/user")
    assert len(gitlab.calls()) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_is_down(gitlab: GitLab, upstream: Observed, status: int) -> None:
    gitlab.faults("error", status=status)

    with pytest.raises(Down, match=f"GitLab answered {status}"):
        await upstream.ask()


@pytest.mark.parametrize("status", [200, 401, 403, 404])
async def test_a_page_instead_of_json_is_no_answer(
    gitlab: GitLab, upstream: Observed, status: int
) -> None:
    gitlab.faults("html", status=status)

    with pytest.raises(Outage, match=f"GitLab answered {status} without JSON") as caught:
        await upstream.ask()

    assert not isinstance(caught.value, Down)


async def test_a_silent_server_is_given_up_in_time(gitlab: GitLab, upstream: Observed) -> None:
    gitlab.faults("hang")

    with pytest.raises(Down, match="did not answer in time"):
        await upstream.ask()


@pytest.mark.parametrize("call", [CALL, QUERY], ids=["GET", "POST"])
async def test_a_reset_connection_is_tried_once_more(
    gitlab: GitLab, upstream: Observed, call: Call
) -> None:
    gitlab.faults("reset", times=1)

    assert (await upstream.ask(call)).status in (200, 401)
    assert len(gitlab.calls()) == 2


@pytest.mark.parametrize("call", [CALL, QUERY], ids=["GET", "POST"])
async def test_a_server_that_keeps_resetting_is_down(
    gitlab: GitLab, upstream: Observed, call: Call
) -> None:
    gitlab.faults("reset")

    with pytest.raises(Down, match="could not be asked"):
        await upstream.ask(call)

    assert len(gitlab.calls()) == 2


async def test_a_truncated_answer_is_down(gitlab: GitLab, upstream: Observed) -> None:
    gitlab.faults("truncate")

    with pytest.raises(Down, match="ClientPayloadError"):
        await upstream.ask()


async def test_a_huge_answer_is_not_read_to_its_end(gitlab: GitLab, upstream: Observed) -> None:
    gitlab.faults("huge", size=1 << 40)

    with pytest.raises(Outage, match="answered too much"):
        await upstream.ask()


@pytest.mark.parametrize(
    "effect", ["error", "html", "hang", "reset", "truncate", "huge", "throttle"]
)
async def test_a_failure_names_neither_path_nor_token(
    gitlab: GitLab, upstream: Observed, effect: str
) -> None:
    gitlab.faults(effect)

    with capture_logs() as logs, pytest.raises(Unavailable) as caught:
        await upstream.ask()

    told = f"{caught.value!r} {caught.value.__cause__!r} {logs}"
    assert "secret" not in told


async def test_five_failures_in_a_row_stop_the_questions(
    gitlab: GitLab, upstream: Observed
) -> None:
    gitlab.faults("error", status=502, times=5)
    for _ in range(5):
        with pytest.raises(Down):
            await upstream.ask()

    with pytest.raises(Unreachable, match="GitLab is down") as caught:
        await upstream.ask()

    assert caught.value.retry_after == 5
    assert len(gitlab.calls()) == 5
    upstream.clock.pass_by(5)
    assert (await upstream.ask()).status == 401
    assert (await upstream.ask()).status == 401
    assert upstream.calls.outcomes == ["trouble"] * 5 + ["skipped"] + ["answered"] * 2


@pytest.mark.parametrize("effect", ["throttle", "html", "huge"])
async def test_an_answer_that_came_is_no_reason_to_stop_asking(
    gitlab: GitLab, upstream: Observed, effect: str
) -> None:
    gitlab.faults(effect, status=403, times=20)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await upstream.ask()

    assert (await upstream.ask()).status == 401


async def test_a_cancelled_probe_leaves_room_for_another(
    gitlab: GitLab, upstream: Observed
) -> None:
    gitlab.faults("error", times=5)
    for _ in range(5):
        with pytest.raises(Down):
            await upstream.ask()
    upstream.clock.pass_by(5)
    gitlab.faults("hang", times=1)
    probe = asyncio.create_task(upstream.ask())
    await _until(lambda: len(gitlab.calls()) == 6)

    probe.cancel()
    await asyncio.wait({probe})

    assert (await upstream.ask()).status == 401
    assert upstream.calls.outcomes[-2:] == ["cancelled", "answered"]


async def test_the_proxy_of_the_environment_is_not_used(
    gitlab: GitLab, upstream: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("NO_PROXY", "")

    assert (await upstream.ask()).status == 401


async def test_the_observer_learns_operation_outcome_and_seconds(
    gitlab: GitLab, upstream: Observed
) -> None:
    await upstream.ask()
    gitlab.faults("throttle", times=1)
    with pytest.raises(Throttled):
        await upstream.ask()
    gitlab.faults("latency", seconds=0.2, times=1)
    await upstream.ask(Call(Operation.USER, "/api/v4/user", {}))

    assert upstream.calls.seen == [
        ("project", "answered"),
        ("project", "throttled"),
        ("user", "answered"),
    ]
    assert 0.2 <= upstream.calls.seconds[2] < TIMEOUT
    assert json.dumps(upstream.calls.seen).count("secret") == 0


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - it happens in another process
        await asyncio.sleep(0.01)
