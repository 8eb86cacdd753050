"""Clients of several kinds that ask during a whole event, each again and again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Event as Flag
from threading import Thread
from typing import Final

from tests.caller import Caller
from tests.chaos.account import READERS, WRITERS, Account, Answered, Kind
from tests.polling import eventually
from tests.servers.envoy import Answer

# Requests of one client in one event: never reached, so that an account is never of a part of it.
MOST: Final = 5_000
# Between two requests, in seconds: the crowd is to be there, not to wear the machine down.
_PACE: Final = 0.04
# Answers in a row.
_SEVERAL: Final = 60


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who reads and writes in turn, in each of his views; `run` is what he writes to."""

    kind: Kind
    views: Sequence[Caller]
    run: str

    def ask(self, number: int) -> Answered:
        """Ask once: every other time for a write, which has a name of its own."""
        caller = self.views[number // 2 % len(self.views)]
        write = f"{self.kind}-{number}" if number % 2 else ""
        try:
            answer = self._write(caller, write, number) if write else self._read(caller)
        except (OSError, HTTPException):
            return Answered(self.kind, write, 0)
        return Answered(self.kind, write, answer.status, answer.body)

    def _read(self, caller: Caller) -> Answer:
        if self.kind is Kind.STRANGER:
            # In his own view a search would succeed, and rightly so.
            return caller.call("GET runs/get", run_id=self.run)
        return caller.call("POST experiments/search", max_results=100)

    def _write(self, caller: Caller, name: str, number: int) -> Answer:
        return caller.call(
            "POST runs/log-batch",
            run_id=self.run,
            metrics=[{"key": name, "value": number, "timestamp": number, "step": 0}],
            params=[{"key": name, "value": str(number)}],
        )


@dataclass(slots=True)
class Crowd:
    """The clients of one event, and the account of what they were answered."""

    clients: Sequence[Client]
    account: Account = field(default_factory=Account)
    _asked: dict[Kind, int] = field(default_factory=dict)
    _enough: Flag = field(default_factory=Flag)

    @contextmanager
    def asking(self) -> Iterator["Crowd"]:
        """Ask until the block ends, and what was asked by then is answered."""
        threads = [Thread(target=self._ask, args=(each,), daemon=True) for each in self.clients]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._enough.set()
            for thread in threads:
                thread.join(90)
        assert not [thread for thread in threads if thread.is_alive()]
        assert max(self._asked.values()) < MOST

    def hears(self, count: int) -> None:
        """Wait for so many answers more."""
        wanted = len(self.account.answers) + count
        eventually(lambda: len(self.account.answers) >= wanted, wanted=True, wait=90)

    def is_hit(self) -> None:
        """Wait until somebody is refused what he has a right to: what was remembered is used up."""
        mark = len(self.account.answers)
        eventually(lambda: any(each.failed for each in self.account.answers[mark:]), wanted=True)

    def waits(self) -> None:
        """Wait until every client waits for an answer."""
        eventually(self._under_way, len(self.clients), wait=90)

    def is_served(self) -> None:
        """Wait until everybody gets all that he has a right to, time after time.

        Once would not do: of two edges one may still hold back.
        """
        mark = len(self.account.answers)
        eventually(
            lambda: self._is_well(self.account.answers[mark:][-_SEVERAL:]), wanted=True, wait=90
        )

    def _is_well(self, latest: Sequence[Answered]) -> bool:
        there = {client.kind for client in self.clients}
        rights = {(kind, False) for kind in READERS & there}
        rights |= {(kind, True) for kind in WRITERS & there}
        served = {(each.kind, bool(each.write)) for each in latest if each.succeeded}
        failed = any(each.failed for each in latest)
        return len(latest) == _SEVERAL and rights <= served and not failed

    def _under_way(self) -> int:
        return sum(self._asked.values()) - len(self.account.answers)

    def _ask(self, client: Client) -> None:
        for number in range(MOST):
            self._asked[client.kind] = number + 1
            self.account.answers.append(client.ask(number))
            if self._enough.wait(_PACE):
                return
