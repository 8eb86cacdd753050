"""An account that would not notice is worth nothing: each wrong answer is told from right ones."""

from typing import Any

import pytest

from tests.chaos.account import FOREIGN, OURS, Account, Answered, Kind

SHOWN = f'{{"experiments": [{{"name": "{OURS}"}}]}}'.encode()
REFUSED = b'{"error_code": "PERMISSION_DENIED", "message": "Not you"}'
RIGHT = [
    Answered(Kind.GUEST, "", 200, SHOWN),
    Answered(Kind.MEMBER, "member-1", 200, b"{}"),
    Answered(Kind.MEMBER, "member-3", 503, REFUSED),
    Answered(Kind.GUEST, "guest-1", 403, REFUSED),
    Answered(Kind.STRANGER, "", 404, REFUSED),
    Answered(Kind.SESSION, "", 0),
]
WRONG = {
    "let in": [
        *(Answered(kind, "", 200, SHOWN) for kind in (Kind.STRANGER, Kind.FORMER, Kind.MADE_UP)),
        Answered(Kind.GUEST, "guest-3", 200, b"{}"),
    ],
    "showed what is not theirs": [Answered(Kind.MEMBER, "", 200, SHOWN + FOREIGN.encode())],
    "answered with nothing": [Answered(Kind.MEMBER, "", 200, b"{}")],
    "did not explain itself": [
        Answered(Kind.MEMBER, "", 503, b"<html>"),
        Answered(Kind.MEMBER, "", 302, REFUSED),
        Answered(Kind.MEMBER, "", 503, b'{"message": ""}'),
        Answered(Kind.MEMBER, "", 503, b"[]"),
    ],
    "lost what was acknowledged": [Answered(Kind.JOB, "job-1", 200, b"{}")],
}


def keeping(**values: int) -> dict[str, Any]:
    """Return a run in which these writes are kept, each with a value."""
    kept = [{"key": name.replace("_", "-"), "value": value} for name, value in values.items()]
    return {"data": {"params": kept, "metrics": kept}}


def test_what_is_right_is_lawful() -> None:
    Account(RIGHT).is_lawful(keeping(member_1=1, member_3=3))


@pytest.mark.parametrize(
    ("what", "wrong"), [(what, each) for what, several in WRONG.items() for each in several]
)
def test_one_wrong_answer_is_noticed(what: str, wrong: Answered) -> None:
    with pytest.raises(AssertionError, match=what):
        Account([*RIGHT, wrong]).is_lawful(keeping(member_1=1))


def test_a_write_that_was_refused_and_kept_is_noticed() -> None:
    with pytest.raises(AssertionError, match="kept what was refused"):
        Account(RIGHT).is_lawful(keeping(member_1=1, guest_1=1))


def test_a_write_that_was_kept_with_another_value_is_noticed() -> None:
    with pytest.raises(AssertionError, match="lost what was acknowledged"):
        Account(RIGHT).is_lawful(keeping(member_1=2))


def test_who_failed_is_told_from_who_has_no_right() -> None:
    with pytest.raises(AssertionError, match="failed"):
        Account(RIGHT).nobody_waited()
    Account([RIGHT[3], RIGHT[4]]).nobody_waited()
