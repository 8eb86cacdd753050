"""Planning: from what there is to what moves."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection

from extauthz.migrate.claims import Tagged, Thing
from extauthz.migrate.content import nobodys, read
from extauthz.migrate.direction import Direction, is_projects
from extauthz.migrate.files import Files
from extauthz.migrate.locations import DEFAULT, Roots, stored_of
from extauthz.migrate.plan import Leftover, Plan, Share
from extauthz.migrate.projects import Directory
from extauthz.migrate.rows import census, tally
from extauthz.migrate.sorting import Claim, Sorting, by_home
from extauthz.migrate.survey import Survey
from extauthz.plugin.context import project_of

_WORKSPACES: Final = "workspaces/"
_FEW: Final = 10

Paths = Callable[[str], tuple[str, ...]]


def survey_of(connection: Connection, files: Files, roots: Roots, *, tag: str) -> Survey:
    """Read what there is."""
    return Survey(connection, read(connection, tag), census(connection), files, roots)


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
    of_experiments, of_all = by_home(experiments), by_home(homes)
    of_models, of_datasets = by_home(models), by_home(datasets)
    shares = [
        _counted(
            survey,
            Share(
                workspace,
                direction.source(workspace),
                direction.target(workspace),
                paths_of(workspace),
                experiments=tuple(sorted(of_experiments[workspace])),
                models=tuple(sorted(of_models[workspace])),
                datasets=tuple(sorted(of_datasets[workspace])),
                own=frozenset(of_all[workspace]),
            ),
        )
        for workspace in sorted({*of_experiments, *of_models, *of_datasets}, key=project_of)
    ]
    leftovers = list(_leftovers_into(survey) if direction is Direction.INTO else _back(survey))
    return Plan(shares, leftovers, sorting.orphans, list(_notes(survey, direction)))


def _counted(survey: Survey, share: Share) -> Share:
    rows = tally(
        survey.connection,
        share.source,
        experiments=(),
        models=share.models,
        datasets=share.datasets,
    )
    for experiment in share.experiments:
        rows.update(survey.census[experiment])
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
