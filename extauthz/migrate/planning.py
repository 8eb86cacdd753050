"""Planning: from what there is to what moves."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import Connection

from extauthz.migrate.claims import Tagged, Thing
from extauthz.migrate.content import nobodys, read
from extauthz.migrate.direction import Direction, is_projects
from extauthz.migrate.files import Files
from extauthz.migrate.locations import DEFAULT, Roots, stored_of
from extauthz.migrate.plan import Leftover, Plan, Share
from extauthz.migrate.projects import Directory
from extauthz.migrate.rows import tally
from extauthz.migrate.sorting import Claim, Sorting
from extauthz.migrate.survey import Survey

_WORKSPACES: Final = "workspaces/"
_FEW: Final = 10

K = TypeVar("K", int, str)
Paths = Callable[[str], tuple[str, ...]]


def survey_of(connection: Connection, files: Files, roots: Roots, *, tag: str) -> Survey:
    """Read what there is."""
    return Survey(connection, read(connection, tag), files, roots)


def plan_into(survey: Survey, directory: Directory, *, tag: str, by_suffix: bool = True) -> Plan:
    """Plan to move what is tagged into the workspaces of its projects; raises Failed."""
    things: list[Thing] = [*survey.content.experiments, *survey.content.models]
    todo = [thing for thing in things if Direction.INTO.takes(thing.workspace)]
    tagged = Tagged(directory, todo, tag=tag, by_suffix=by_suffix)
    return _plan(survey, Direction.INTO, tagged, tagged.paths_of)


def plan_back(survey: Survey) -> Plan:
    """Plan to move all that projects have back into the default workspace; raises Failed."""
    return _plan(survey, Direction.BACK, lambda thing: thing.workspace, lambda _: ())


def _plan(survey: Survey, direction: Direction, claim: Claim, paths_of: Paths) -> Plan:
    sorting = Sorting(survey, direction, claim)
    experiments = sorting.experiments()
    homes = sorting.homes(experiments)
    models, datasets = sorting.models(homes), sorting.datasets(homes)
    workspaces = {*experiments.values(), *models.values(), *datasets.values()}
    shares = [
        _counted(
            survey,
            Share(
                workspace,
                direction.source(workspace),
                direction.target(workspace),
                paths_of(workspace),
                experiments=_of(experiments, workspace),
                models=_of(models, workspace),
                datasets=_of(datasets, workspace),
                own=frozenset(_of(homes, workspace)),
            ),
        )
        for workspace in sorted(workspaces, key=lambda name: int(name.removeprefix("p")))
    ]
    leftovers = list(_leftovers_into(survey) if direction is Direction.INTO else _back(survey))
    return Plan(shares, leftovers, sorting.orphans, list(_notes(survey, direction)))


def _of(homes: Mapping[K, str], workspace: str) -> tuple[K, ...]:
    return tuple(sorted(key for key, home in homes.items() if home == workspace))


def _counted(survey: Survey, share: Share) -> Share:
    rows = tally(
        survey.connection,
        share.source,
        experiments=share.experiments,
        models=share.models,
        datasets=share.datasets,
    )
    sizes = [
        size
        for experiment in share.experiments
        for size in survey.files.sizes(f"{stored_of(share.source, experiment)}/").values()
    ]
    return replace(share, rows=dict(rows), files=len(sizes), bytes=sum(sizes))


def _leftovers_into(survey: Survey) -> Iterator[Leftover]:
    """Yield the experiments whose rows are in a project and that still have an old folder."""
    workspaces = {each.id: each.workspace for each in survey.content.experiments}
    for experiment in _experiments_in(survey.files, ""):
        workspace = workspaces.get(experiment, "")
        if is_projects(workspace):
            yield Leftover(experiment, DEFAULT, workspace)


def _back(survey: Survey) -> Iterator[Leftover]:
    """Yield the experiments whose rows are in no project and that one still has a folder of."""
    workspaces = {each.id: each.workspace for each in survey.content.experiments}
    for workspace in filter(is_projects, survey.files.folders(_WORKSPACES)):
        for experiment in _experiments_in(survey.files, f"{_WORKSPACES}{workspace}/"):
            if workspaces.get(experiment) == DEFAULT:
                yield Leftover(experiment, workspace, DEFAULT)


def _experiments_in(files: Files, folder: str) -> list[int]:
    names = files.folders(folder)
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def _notes(survey: Survey, direction: Direction) -> Iterator[str]:
    if direction is Direction.BACK:
        things: list[Thing] = [*survey.content.experiments, *survey.content.models]
        untagged = sum(thing.tag is None and direction.takes(thing.workspace) for thing in things)
        if untagged:
            yield (
                f"{untagged} experiments and models have no tag of a project, because they were "
                "made since: mlflow-sharinghub will show them to nobody"
            )
        return
    known = {each.id for each in survey.content.experiments}
    unknown = [each for each in _experiments_in(survey.files, "") if each not in known]
    if unknown:
        shown = ", ".join(map(str, unknown[:_FEW])) + (", ..." if len(unknown) > _FEW else "")
        yield f"{len(unknown)} folders are of no experiment that there is, and stay: {shown}"
    for table, count in nobodys(survey.connection).items():
        yield f"{count} rows of {table} belong to no project, and stay"
