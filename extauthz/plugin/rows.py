"""Row criteria: what the statements see that MLflow's stores execute in a session.

MLflow's workspace stores filter most statements of a project by themselves; these criteria filter
each mapped class in every SELECT, UPDATE and DELETE of a session, and are the only filter of the
global view. They follow the foreign keys from each mapped table to a `workspace` column. A table
from which no path leads to one yields nothing, so that whatever a later MLflow maps is invisible
until somebody looks at it.

Statements that no criteria reach are refused. What cannot be told apart passes: a table that is
joined to a mapped class as a table, SQL in `literal_column`, and the connection of a session.
MLflow's stores use none of these; a test reads their code for it.
"""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Exists,
    ForeignKeyConstraint,
    FromClause,
    Insert,
    String,
    Table,
    TextClause,
    bindparam,
    delete,
    event,
    exists,
    false,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import ORMExecuteState, Session, aliased, with_loader_criteria
from sqlalchemy.orm.interfaces import CriteriaOption
from sqlalchemy.sql.visitors import InternalTraversal

from extauthz.plugin.context import workspaces
from extauthz.plugin.tables import mapped, table_of

# MLflow links rows without foreign keys. A link is where one of these ends is: a column of its own,
# and the table and column that it names there.
_LINKS: Final = {
    "inputs": (
        ("destination_id", "runs", "run_uuid"),
        ("source_id", "runs", "run_uuid"),
    ),
    "entity_associations": (
        ("source_id", "trace_info", "request_id"),
        ("source_id", "evaluation_datasets", "dataset_id"),
    ),
}
_SETTINGS: Final = ("PRAGMA ", "SET ")
# No event tells of these.
_BULK: Final = ("bulk_insert_mappings", "bulk_save_objects", "bulk_update_mappings")


class RowCriteria(CriteriaOption):
    """The criteria of all mapped tables, as one option of a statement.

    SQLAlchemy looks its compiled statements up by every option that they carry. With an option per
    table that takes three times as long as the rest of `runs/get`. These never change: the names of
    the workspaces are asked for each time a statement is executed.
    """

    _traverse_internals: list[tuple[str, InternalTraversal]] = []  # noqa: RUF012 - SQLAlchemy's
    propagate_to_loaders = False

    def __init__(self) -> None:
        # Thousands of names exceed what a database takes as parameters, so they are inlined.
        names = bindparam(
            "workspaces", None, String, callable_=workspaces, expanding=True, literal_execute=True
        )
        self._criteria = [
            with_loader_criteria(
                mapper.class_,
                visible(table_of(mapper), table_of(mapper), names),
                include_aliases=True,
                # Loaders of related rows execute statements of their own, which come by here too.
                propagate_to_loaders=False,
            )
            for mapper in mapped().values()
        ]

    def process_compile_state(self, compile_state: Any) -> None:
        """Apply the criteria to a statement that is being compiled."""
        self.get_global_criteria(compile_state.global_attributes)

    def process_compile_state_replaced_entities(
        self, compile_state: Any, _mapper_entities: object
    ) -> None:
        """Apply the criteria to a statement for a relationship."""
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: dict[Any, Any]) -> None:
        """Add the criteria to those of a statement; bulk updates and deletes ask for them here."""
        for criterion in self._criteria:
            criterion.get_global_criteria(attributes)


def watch(sessions: type[Session]) -> None:
    """Restrict what these sessions execute to the workspaces of the running request.

    Raises PermissionError inside MLflow for statements that cannot be restricted.
    """
    criteria = RowCriteria()
    _prove(criteria)

    def restrict(state: ORMExecuteState) -> None:
        if state.is_column_load:
            return  # a refresh of a row that was read under the criteria
        if not _is_reached(state):
            raise PermissionError("No row criteria reach this statement")
        if state.is_orm_statement and not state.is_insert:
            state.statement = state.statement.options(criteria)

    event.listen(sessions, "do_orm_execute", restrict)
    for name in _BULK:
        setattr(sessions, name, _refuse)


def _is_reached(state: ORMExecuteState) -> bool:
    """Return whether the criteria reach a statement, or it shows and changes no row there is."""
    statement = state.statement
    if isinstance(statement, TextClause):
        return statement.text.startswith(_SETTINGS)
    if isinstance(statement, Insert):
        return statement.select is None
    # With parameters, an update finds its rows by their primary keys alone.
    by_key = state.is_update and bool(state.parameters)
    return state.is_orm_statement and not state.is_from_statement and not by_key


def _refuse(*_: object, **__: object) -> None:
    raise PermissionError("No row criteria reach bulk operations on mappings and objects")


def _prove(criteria: RowCriteria) -> None:
    """Refuse to run with a version of SQLAlchemy that does not apply the criteria.

    `CriteriaOption` is its own base class for such options, and might change.
    """
    for mapper in mapped().values():
        entity = mapper.class_
        for statement in (select(entity), select(aliased(entity)), delete(entity)):
            if "WHERE" not in str(statement.options(criteria)):
                raise RuntimeError("This version of SQLAlchemy does not apply the row criteria")


def visible(table: Table, rows: FromClause, names: BindParameter[Any]) -> ColumnElement[bool]:
    """Return whether `rows`, a table or an alias of it, lie in the workspaces of these names."""
    if table.name in _LINKS:
        tables = mapped()
        return or_(
            *(
                _exists(table_of(tables[name]), {column: rows.c[end]}, names)
                for end, name, column in _LINKS[table.name]
            )
        )
    if "workspace" in table.c:
        return rows.c.workspace.in_(names)
    key = key_to_workspace(table)
    if key is None:
        return false()
    # All columns of a composite key at once: each of them alone matches other rows too.
    pairs = {element.column.name: rows.c[element.parent.name] for element in key.elements}
    return _exists(key.referred_table, pairs, names)


def _exists(
    table: Table, key: Mapping[str, ColumnElement[Any]], names: BindParameter[Any]
) -> Exists:
    """Return whether a visible row has this key.

    A correlated look-up by primary key: `IN (SELECT …)` would collect all rows of a project first.
    """
    rows = table.alias()
    same = (rows.c[name] == column for name, column in key.items())
    seen = select(literal(1)).select_from(rows).where(*same, visible(table, rows, names))
    # PostgreSQL would turn these into joins, and plan a filter by 60 tags for a minute.
    return exists(seen.offset(0))


def key_to_workspace(table: Table) -> ForeignKeyConstraint | None:
    """Return the foreign key that leads from a table to a workspace in the fewest steps."""
    steps = {key: _steps(key.referred_table, {table}) for key in table.foreign_key_constraints}
    leading = [key for key, count in steps.items() if count < inf]
    return min(leading, key=lambda key: (steps[key], key.referred_table.name), default=None)


def is_reached(table: Table) -> bool:
    """Tell whether rows of a table can belong to a project at all."""
    return _steps(table, set()) < inf


def _steps(table: Table, seen: set[Table]) -> float:
    if "workspace" in table.c or table.name in _LINKS:
        return 0
    ahead = {key.referred_table for key in table.foreign_key_constraints} - seen
    return 1 + min((_steps(further, seen | {table}) for further in ahead), default=inf)
