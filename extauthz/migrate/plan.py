"""The plan: what moves where, and what stays because nobody can tell whose it is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from extauthz.plugin.context import project_of


class Kind(StrEnum):
    """What there is to move."""

    EXPERIMENT = "experiment"
    MODEL = "model"
    DATASET = "evaluation dataset"


class Why(StrEnum):
    """Why something stays."""

    UNTAGGED = "untagged"
    UNKNOWN = "unknown project"
    AMBIGUOUS = "ambiguous"
    TAKEN = "name taken"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Orphan:
    """What stays where it is, and why."""

    kind: Kind
    id: str
    name: str
    why: Why
    detail: str


@dataclass(frozen=True, slots=True)
class Share:
    """What moves together, in one transaction: what a project has of all this.

    `paths` are those that it is known by here. `own` are all of its experiments, those included
    that an earlier run has moved.
    """

    workspace: str
    source: str
    target: str
    paths: tuple[str, ...] = ()
    experiments: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    own: frozenset[int] = frozenset()
    rows: Mapping[str, int] = field(default_factory=dict)
    files: int = 0
    bytes: int = 0

    @property
    def project(self) -> int:
        """The id of the project."""
        return project_of(self.workspace)


@dataclass(frozen=True, slots=True)
class Leftover:
    """The old files of an experiment whose rows have moved: an earlier run was cut short."""

    experiment: int
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in this order; `notes` are for people."""

    shares: Sequence[Share] = ()
    leftovers: Sequence[Leftover] = ()
    orphans: Sequence[Orphan] = ()
    notes: Sequence[str] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.shares and not self.leftovers

    @property
    def totals(self) -> Counter[str]:
        """The rows, files and bytes of all shares."""
        counts = Counter[str]()
        for share in self.shares:
            counts.update(share.rows)
            counts.update({"files": share.files, "bytes": share.bytes})
        return counts
