"""Row criteria: what the statements see that MLflow's stores execute in a session.

MLflow's workspace stores filter most statements of a project by themselves; these criteria filter
each mapped class in every SELECT, UPDATE and DELETE of a session, and are the only filter of the
global view. They follow the foreign keys from each mapped table to a `workspace` column. A table
from which no path leads to one yields nothing, so that whatever a later MLflow maps is invisible
until somebody looks at it.

Statements that no criteria reach are refused, and SELECTs that name a table but not its class. What
cannot be told apart passes: a class that is named in one part of a statement and its table in
another one, SQL in `literal_column`, and the connection of a session. MLflow's stores use none of
these; a test reads their code for it.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Exists,
    ForeignKeyConstraint,
    FromClause,
    Insert,
    Select,
    String,
    Table,
    TextClause,
    bindparam,
    delete,
    event,
    exists,
    false,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import (
    Mapper,
    ORMExecuteState,
    RelationshipDirection,
    RelationshipProperty,
    Session,
    aliased,
    with_loader_criteria,
)
from sqlalchemy.orm.interfaces import CriteriaOption
from sqlalchemy.sql.visitors import InternalTraversal, iterate

from extauthz.grant import View
from extauthz.plugin.context import in_view, workspaces
from extauthz.plugin.tables import mapped, table_of

# MLflow links rows without foreign keys. A link is where one of these ends is: columns of its own,
# of which one is enough, and the table and column that they name there.
_LINKS: Final = {
    "inputs": ((("destination_id", "source_id"), "runs", "run_uuid"),),
    "entity_associations": (
        (("source_id",), "trace_info", "request_id"),
        (("source_id",), "evaluation_datasets", "dataset_id"),
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

    _traverse_internals = [("name", InternalTraversal.dp_string)]  # noqa: RUF012 - SQLAlchemy's
    propagate_to_loaders = False

    def __init__(self, names: BindParameter[Any]) -> None:
        self.name = names.key
        self._criteria = {
            table_of(mapper): with_loader_criteria(
                mapper.class_,
                _criterion(mapper, names),
                include_aliases=True,
                # To those that join related rows; others execute statements of their own.
                propagate_to_loaders=True,
            )
            for mapper in mapped().values()
        }
        self._children = _children()

    def process_compile_state(self, compile_state: Any) -> None:
        """Apply the criteria to a statement that is being compiled."""
        # Only a SELECT has these. The path is that of the relationship whose rows are loaded.
        path = getattr(compile_state, "current_path", None)
        if missed := _tables_without_class(getattr(compile_state, "select_statement", None)):
            raise PermissionError(f"No row criteria reach {', '.join(sorted(missed))}")
        loaded = self._children.get(path[-1]) if path else None
        self._apply(compile_state.global_attributes, but=loaded)

    def process_compile_state_replaced_entities(
        self, compile_state: Any, _mapper_entities: object
    ) -> None:
        """Apply the criteria to a statement for a relationship."""
        self.process_compile_state(compile_state)

    def get_global_criteria(self, attributes: dict[Any, Any]) -> None:
        """Add the criteria to those of a statement; bulk updates and deletes ask for them here."""
        self._apply(attributes)

    def _apply(self, attributes: dict[Any, Any], *, but: Table | None = None) -> None:
        # What loads related rows carries them from the statement before it as well.
        if attributes.setdefault(RowCriteria, self.name) != self.name:
            raise PermissionError("A statement carries the row criteria of two views")
        if (RowCriteria, self.name) in attributes:
            return
        attributes[RowCriteria, self.name] = True
        for table, criterion in self._criteria.items():
            if table is not but:
                criterion.get_global_criteria(attributes)


def watch(sessions: type[Session]) -> None:
    """Restrict what these sessions execute to the workspaces of the running request.

    Raises PermissionError inside MLflow for statements that cannot be restricted.
    """
    one, many = RowCriteria(single()), RowCriteria(several())
    _prove(one)
    _prove(many)

    def restrict(state: ORMExecuteState) -> None:
        if state.is_column_load:
            return  # a refresh of a row that was read under the criteria
        if not _is_reached(state):
            raise PermissionError("No row criteria reach this statement")
        if state.is_orm_statement and not state.is_insert:
            criteria = one if in_view(View.PROJECT) else many
            state.statement = state.statement.options(criteria)

    event.listen(sessions, "do_orm_execute", restrict)
    for name in _BULK:
        setattr(sessions, name, _refuse)


def single() -> BindParameter[Any]:
    """Return the name of the one workspace that the running request may see."""

    def name() -> str | None:
        names = workspaces()
        return names[0] if len(names) == 1 else None

    return bindparam("workspace", None, String, callable_=name)


def several() -> BindParameter[Any]:
    """Return the names of all workspaces that the running request may see.

    Thousands of them exceed what a database takes as parameters, so they become part of the SQL;
    for a single one, that takes longer than to look it up.
    """
    return bindparam(
        "workspaces", None, String, callable_=workspaces, expanding=True, literal_execute=True
    )


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


def _tables_without_class(statement: Select[Any] | None) -> set[str]:
    """Return the tables of which a SELECT names no mapped class, which is where criteria come in.

    MLflow selects columns of a table for traces, and adds a condition on the class.
    """
    with_class, tables = set(), set()
    for part in iterate(statement) if statement is not None else ():
        entity = part._annotations.get("parententity")  # noqa: SLF001 - nothing public tells it
        if entity is not None:
            with_class.add(entity.mapper.local_table.name)
        elif isinstance(part, Table):
            tables.add(part.name)
        elif isinstance(part, Column) and isinstance(part.table, Table):
            tables.add(part.table.name)
    return tables - with_class


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


def _criterion(mapper: Mapper[Any], names: BindParameter[Any]) -> ColumnElement[bool]:
    table = table_of(mapper)
    if "workspace" in table.c:
        # Where SQLAlchemy joins related rows, it adapts attributes and subqueries, but no columns.
        return _is_among(mapper.get_property_by_column(table.c.workspace).class_attribute, names)
    return visible(table, table, names)


def visible(table: Table, rows: FromClause, names: BindParameter[Any]) -> ColumnElement[bool]:
    """Return whether `rows`, a table or an alias of it, lie in the workspaces of these names."""
    if table.name in _LINKS:
        tables = mapped()
        return or_(
            *(
                _exists(table_of(tables[name]), {column: [rows.c[end] for end in ends]}, names)
                for ends, name, column in _LINKS[table.name]
            )
        )
    if "workspace" in table.c:
        return _is_among(rows.c.workspace, names)
    key = key_to_workspace(table)
    if key is None:
        return false()
    # All columns of a composite key at once: each of them alone matches other rows too.
    pairs = {element.column.name: [rows.c[element.parent.name]] for element in key.elements}
    return _exists(key.referred_table, pairs, names)


def _exists(
    table: Table, key: Mapping[str, Sequence[ColumnElement[Any]]], names: BindParameter[Any]
) -> Exists:
    """Return whether a visible row has, in each column of a key, one of the values.

    A correlated look-up by primary key: `IN (SELECT …)` would collect all rows of a project first.
    """
    rows = table.alias()
    same = (_is_any(rows.c[name], values) for name, values in key.items())
    seen: Select[Any] = (
        select(literal_column("1")).select_from(rows).where(*same, visible(table, rows, names))
    )
    # PostgreSQL would turn these into joins, and plan a filter by 60 tags for a minute.
    return exists(seen.suffix_with("OFFSET 0", dialect="postgresql"))


def _is_among(workspace: Any, names: BindParameter[Any]) -> ColumnElement[bool]:
    among: ColumnElement[bool] = workspace.in_(names) if names.expanding else workspace == names
    return among


def _is_any(
    column: ColumnElement[Any], values: Sequence[ColumnElement[Any]]
) -> ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else column.in_(values)


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


def _children() -> dict[object, Table]:
    """Return the relationships to rows that are where their parents are, and the tables of these.

    What loads them has read the parents under the criteria, or joins them. To ask again for each
    row takes longer than the rest of such a statement.
    """
    relationships = (each for mapper in mapped().values() for each in mapper.relationships)
    return {
        relationship: table_of(relationship.mapper)
        for relationship in relationships
        if _is_along_key(relationship, table_of(relationship.mapper))
    }


def _is_along_key(relationship: RelationshipProperty[Any], children: Table) -> bool:
    """Tell whether children are found by exactly the key that tells their workspace."""
    tells_itself = "workspace" in children.c or children.name in _LINKS
    key = None if tells_itself else key_to_workspace(children)
    return (
        key is not None
        and relationship.direction is RelationshipDirection.ONETOMANY
        and set(relationship.local_remote_pairs or ())
        == {(element.column, element.parent) for element in key.elements}
    )
