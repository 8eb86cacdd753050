"""What a crowd was answered, and what must hold of it whatever happened meanwhile."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

# The experiment of the project that is asked for, and that of another project.
OURS, FOREIGN = "ours-to-see", "foreign-secret"


class Kind(StrEnum):
    """Who asks."""

    MEMBER = "member"
    SESSION = "session"
    JOB = "job"
    GUEST = "guest"
    STRANGER = "stranger"
    FORMER = "former"
    MADE_UP = "made-up"


WRITERS: Final = frozenset({Kind.MEMBER, Kind.SESSION, Kind.JOB})
READERS: Final = WRITERS | {Kind.GUEST}
# Nobody but us says these, and each has a text beside it.
_REFUSALS: Final = frozenset({401, 403, 404, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: to whom, to which write (empty for a read), and what; status 0 if none came."""

    kind: Kind
    write: str
    status: int
    body: bytes = b""

    @property
    def succeeded(self) -> bool:
        return 200 <= self.status < 300

    @property
    def due(self) -> bool:
        """Whether who asked has a right to it."""
        return self.kind in (WRITERS if self.write else READERS)

    @property
    def failed(self) -> bool:
        """Whether who asked should have got it, and did not."""
        return self.due and not self.succeeded

    @property
    def explained(self) -> bool:
        """Whether a refusal is one of ours or of MLflow: a code and a text."""
        try:
            said = json.loads(self.body)
        except ValueError:
            return False
        match said:
            case {"error_code": str(code), "message": str(text)}:
                return self.status in _REFUSALS and bool(code and text)
        return False


@dataclass(frozen=True, slots=True)
class Account:
    """Every answer that a crowd got."""

    answers: list[Answered] = field(default_factory=list)

    def is_lawful(self, run: Any) -> None:
        """Hold what must hold of every event; `run` is what all wrote to, as it is afterwards."""
        self._never("let in", lambda each: each.succeeded and not each.due)
        self._never("showed what is not theirs", lambda each: FOREIGN.encode() in each.body)
        self._never("answered with nothing", _an_empty_success)
        self._never("did not explain itself", _unexplained)
        params, metrics = (run["data"].get(kind, []) for kind in ("params", "metrics"))
        for kept in (params, metrics):
            assert self.acknowledged <= {_name(each) for each in kept}, "lost what was acknowledged"
            kinds = {each["key"].rpartition("-")[0] for each in kept}
            assert kinds <= WRITERS, "kept what was refused"

    @property
    def acknowledged(self) -> set[str]:
        """The writes that were answered with success."""
        return {each.write for each in self.answers if each.write and each.succeeded}

    def nobody_waited(self) -> None:
        """Hold that who has a right to it was always served."""
        self._never("failed", lambda each: each.failed)

    def _never(self, what: str, wrong: Callable[[Answered], bool]) -> None:
        found = [each for each in self.answers if wrong(each)]
        whom = Counter((str(each.kind), bool(each.write), each.status) for each in found)
        assert not found, f"{what}: {whom}, such as {found[0]}"


def _unexplained(each: Answered) -> bool:
    return bool(each.status) and not each.succeeded and not each.explained


def _an_empty_success(each: Answered) -> bool:
    return each.succeeded and not each.write and OURS.encode() not in each.body


def _name(kept: dict[str, Any]) -> str:
    """Return the name of a write as it was kept: the number in it is its value."""
    return f"{kept['key'].rpartition('-')[0]}-{int(kept['value'])}"
