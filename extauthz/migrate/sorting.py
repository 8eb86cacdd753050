"""Sorting: what there is into what moves, and what stays because of what somebody must look at."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from extauthz.migrate.claims import Stays, Thing
from extauthz.migrate.content import Dataset, Experiment, Model
from extauthz.migrate.direction import Direction
from extauthz.migrate.plan import Kind, Orphan, Why
from extauthz.migrate.rows import astray, unsettled
from extauthz.migrate.survey import Survey, settling

# MLflow makes it by itself.
_DEFAULT_EXPERIMENT = 0

T = TypeVar("T", Experiment, Model)
Claim = Callable[[Thing], str]
Homes = Mapping[int, str]
K = TypeVar("K")


def by_home(homes: Mapping[K, str]) -> defaultdict[str, list[K]]:
    """Return what belongs into each workspace."""
    found = defaultdict[str, list[K]](list)
    for key, home in homes.items():
        found[home].append(key)
    return found


class Sorting:
    """Sorts experiments first, since models and datasets follow them; keeps the orphans."""

    def __init__(self, survey: Survey, direction: Direction, claim: Claim) -> None:
        self._survey = survey
        self._direction = direction
        self._claim = claim
        self.orphans: list[Orphan] = []

    def experiments(self) -> dict[int, str]:
        """Return the workspace of the project of each experiment that moves."""
        everything = self._survey.content.experiments
        claimed = self._claimed(
            Kind.EXPERIMENT, (each for each in everything if not self._is_bare(each))
        )
        found = astray(self._survey.connection, self._survey.roots, self._direction)
        for experiment in [each for each in claimed if each.id in found]:
            del claimed[experiment]
            detail = f"it, or what is in it, is said to have files at {found[experiment.id]}"
            self._stays(Kind.EXPERIMENT, experiment, Why.ELSEWHERE, detail)
        return {
            each.id: home for each, home in self._free(Kind.EXPERIMENT, everything, claimed).items()
        }

    def homes(self, moving: Homes) -> dict[int, str]:
        """Return the same of those as well that have moved before."""
        moved = {
            each.id: each.workspace
            for each in self._survey.content.experiments
            if self._direction is Direction.INTO and self._direction.has_moved(each.workspace)
        }
        return moved | dict(moving)

    def models(self, homes: Homes) -> dict[str, str]:
        """Return the workspace of the project of each model that moves."""
        everything = self._survey.content.models
        claimed = self._claimed(Kind.MODEL, everything)
        own = by_home(homes)
        for workspace, models in by_home(claimed).items():
            for model, detail in self._unsettled(workspace, models, set(own[workspace])).items():
                del claimed[model]
                self._stays(Kind.MODEL, model, Why.ELSEWHERE, detail)
        return {
            each.name: home for each, home in self._free(Kind.MODEL, everything, claimed).items()
        }

    def datasets(self, homes: Homes) -> dict[str, str]:
        """Return the workspace of the project of each dataset that moves: of its experiments."""
        moving = {}
        for dataset in self._survey.content.datasets:
            if not self._direction.takes(dataset.workspace):
                continue
            try:
                moving[dataset.id] = self._home_of(dataset, homes)
            except Stays as stays:
                self._stays(Kind.DATASET, dataset, stays.why, stays.detail)
        return moving

    def _home_of(self, dataset: Dataset, homes: Homes) -> str:
        if self._direction is Direction.BACK:
            return dataset.workspace
        if not dataset.experiments:
            raise Stays(Why.UNTAGGED, "it is for no experiment")
        found = {homes.get(experiment, "") for experiment in dataset.experiments}
        if len(found) == 1 and (home := min(found)):
            return home
        shown = ", ".join(map(str, dataset.experiments))
        if found == {""}:
            raise Stays(Why.UNKNOWN, f"it is for experiments that stay: {shown}")
        raise Stays(Why.AMBIGUOUS, f"it is for experiments of several projects: {shown}")

    def _claimed(self, kind: Kind, things: Iterable[T]) -> dict[T, str]:
        claimed: dict[T, str] = {}
        for thing in things:
            if not self._direction.takes(thing.workspace):
                continue
            try:
                claimed[thing] = self._claim(thing)
            except Stays as stays:
                self._stays(kind, thing, stays.why, stays.detail)
        return claimed

    def _free(self, kind: Kind, everything: Iterable[T], claimed: Mapping[T, str]) -> dict[T, str]:
        """Return those whose name is not taken where they are going; it is unique there."""
        holders = defaultdict[tuple[str, str], list[str]](list)
        for thing in everything:
            if thing in claimed:
                target = self._direction.target(claimed[thing])
                holders[target, thing.name].append(thing.workspace)
            else:
                holders[thing.workspace, thing.name].append(thing.workspace)
        free = {}
        for thing, home in claimed.items():
            target = self._direction.target(home)
            others = Counter(holders[target, thing.name]) - Counter([thing.workspace])
            if others:
                detail = f"its name is in use in {', '.join(sorted(others))}: rename one of them"
                self._stays(kind, thing, Why.TAKEN, detail)
            else:
                free[thing] = home
        return free

    def _unsettled(self, workspace: str, models: list[Model], own: set[int]) -> dict[Model, str]:
        source, target = self._direction.source(workspace), self._direction.target(workspace)
        found = unsettled(
            self._survey.connection,
            source,
            [model.name for model in models],
            settling(self._survey.roots, source=source, target=target, own=own),
        )
        return {model: found[model.name] for model in models if model.name in found}

    def _is_bare(self, experiment: Experiment) -> bool:
        """Tell whether it is the one that every MLflow has, as it was when it was made."""
        if experiment.id != _DEFAULT_EXPERIMENT or experiment.tag is not None:
            return False
        return self._survey.census[experiment.id].total() == 1

    def _stays(self, kind: Kind, thing: Thing | Dataset, why: Why, detail: str) -> None:
        number = thing.name if isinstance(thing, Model) else str(thing.id)
        self.orphans.append(Orphan(kind, number, thing.name, why, detail))
