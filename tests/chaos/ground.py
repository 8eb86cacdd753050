"""What a crowd asks for: a run of a project, beside another project it should not see."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from tests.caller import Caller
from tests.chaos.account import FOREIGN, OURS, Kind
from tests.chaos.crowd import Client, Crowd
from tests.gitlab import DEVELOPER
from tests.polling import eventually
from tests.servers.stack import Stack
from tests.tenants import Project, Tenants

# In seconds: what the edges of these tests believe for one (`PROJECT_CACHE_TIMEOUT`) is gone.
FORGOTTEN: Final = 1.5


@dataclass(frozen=True, slots=True)
class Ground:
    """A run, and who looks after it."""

    clerk: Caller
    run: str

    @classmethod
    def of(cls, clerk: Caller, foreigner: Caller) -> "Ground":
        """Fill the projects of both."""
        foreigner.post("experiments/create", name=FOREIGN)
        experiment = clerk.post("experiments/create", name=OURS)["experiment_id"]
        run = clerk.post("runs/create", experiment_id=experiment)["run"]["info"]["run_id"]
        return cls(clerk, run)

    def client(self, kind: Kind, *views: Caller) -> Client:
        """Return somebody who asks for the run."""
        return Client(kind, views, self.run)

    def sees(self, caller: Caller) -> int:
        """Return how somebody is answered who asks for the run once."""
        return caller.call("GET runs/get", run_id=self.run).status

    @contextmanager
    def event(self, *clients: Client, mend: Callable[[], None]) -> Iterator[Crowd]:
        """Let a crowd ask before, during and after an event, and hold what must hold of it.

        `mend` ends what the block began. Whatever it broke must then work again without help.
        """
        crowd = Crowd(clients)
        with crowd.asking():
            crowd.is_served()
            try:
                yield crowd
            finally:
                mend()
            crowd.is_served()
        crowd.account.is_lawful(self.kept())

    def kept(self) -> Any:
        """Return the run as it is now."""
        return self.clerk.get("runs/get", run_id=self.run)["run"]


@dataclass(frozen=True, slots=True)
class Town:
    """Two projects of a GitLab, and the ground in the first."""

    ours: Project
    foreign: Project
    ground: Ground

    @classmethod
    def of(cls, stack: Stack) -> "Town":
        """Make the projects."""
        tenants = Tenants(stack)
        ours, foreign = tenants.project(), tenants.project()
        return cls(ours, foreign, Ground.of(ours.developer(), foreign.developer()))

    def holders_of_tokens(self) -> list[Client]:
        """Return one of each kind who comes with a token, real or made up."""
        guest, stranger = self.ours.guest(), self.foreign.developer()
        everywhere = Caller(guest.port, "", guest.headers)
        ground = self.ground
        return [
            ground.client(Kind.MEMBER, self.ours.developer()),
            ground.client(Kind.GUEST, guest, everywhere),
            ground.client(Kind.STRANGER, stranger, stranger.in_view_of(guest)),
            ground.client(Kind.FORMER, self._former()),
            ground.client(Kind.MADE_UP, self.ours.caller("glpat-made-up-by-somebody")),
        ]

    def _former(self) -> Caller:
        """Return somebody who was a member until just now, as every edge knows."""
        name = self.ours.member(DEVELOPER)
        caller = self.ours.caller(self.ours.tenants.token(name))
        assert self.ground.sees(caller) == 200
        self.ours.tenants.stack.gitlab.remove_member(self.ours.path, name)
        removed = monotonic()
        # Asking until one edge says no is not enough: the other may go by what it heard before.
        eventually(
            lambda: (monotonic() > removed + FORGOTTEN, self.ground.sees(caller)), (True, 404)
        )
        return caller
