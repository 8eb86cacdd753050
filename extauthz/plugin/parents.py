"""References: a row that is written may only point to rows that the request can see.

MLflow checks the row that a request names, but not each row that a new one points to: a metric may
name any logged model, and a logged model any run (both seen in 3.17).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import Any, Final

from sqlalchemy import Column, Integer, select
from sqlalchemy.orm import InstanceState, Session

from extauthz.plugin.tables import mapped, table_of

# Columns of new rows that name a row of another table without a foreign key. The registry may be a
# database of its own, so `stores` looks up the run and the model that a version comes from.
_NAMED: Final = {
    "assessments": {
        "experiment_id": ("experiments", "experiment_id"),
        "run_id": ("runs", "run_uuid"),
    },
    "logged_models": {"source_run_id": ("runs", "run_uuid")},
    "logged_model_metrics": {"dataset_uuid": ("datasets", "dataset_uuid")},
    "review_queue_label_schemas": {"schema_id": ("label_schemas", "schema_id")},
}
# Columns that name a row of one table or another: which, says the column of the type beside each.
_BOTH: Final = {"source_type": "source_id", "destination_type": "destination_id"}
_TYPED: Final = {
    # Of an issue that a trace has, the name is the id.
    "assessments": {"assessment_type": "name"},
    "inputs": _BOTH,
    "entity_associations": _BOTH,
    "evaluation_dataset_records": {"source_type": "source_id"},
    "review_queue_items": {"item_type": "item_id"},
}
_RUN: Final = ("runs", "run_uuid")
_MODEL: Final = ("logged_models", "model_id")
_TRACE: Final = ("trace_info", "request_id")
_ENDS: Final = {
    "RUN": _RUN,
    "RUN_INPUT": _RUN,
    "RUN_OUTPUT": _RUN,
    "DATASET": ("datasets", "dataset_uuid"),
    "MODEL_INPUT": _MODEL,
    "MODEL_OUTPUT": _MODEL,
    "experiment": ("experiments", "experiment_id"),
    "evaluation_dataset": ("evaluation_datasets", "dataset_id"),
    "issue": ("issues", "issue_id"),
    "run": _RUN,
    "trace": _TRACE,
    "TRACE": _TRACE,
}
# Types whose id is words, and names no row.
_WORDS: Final[dict[str, frozenset[object]]] = {
    "assessments": frozenset({"expectation", "feedback"}),
    # The registry may be a database of its own; `traces` looks prompts up there.
    "entity_associations": frozenset({"prompt_version"}),
    "evaluation_dataset_records": frozenset({None, "CODE", "DOCUMENT", "HUMAN", "UNSPECIFIED"}),
}
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Reference:
    """The columns and values that name one row of a table."""

    table: str
    key: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.key) + f" in {self.table}"


def invisible(session: Session, written: list[InstanceState[Any]]) -> Iterator[Reference]:
    """Yield the references of rows about to be written that lead to no row the request sees."""
    wanted = {reference for state in written for reference in _references(state)}
    for reference in wanted:
        if not _is_written(reference, written) and not _is_visible(session, reference):
            yield reference


def _references(state: InstanceState[Any]) -> Iterator[Reference]:
    table = table_of(state.mapper)
    for constraint in table.foreign_key_constraints:
        pairs = [(e.parent, e.column) for e in constraint.elements]
        key = tuple((theirs.name, _value(state, ours)) for ours, theirs in pairs)
        if any(is_changed(state, ours) for ours, _ in pairs) and all(v is not None for _, v in key):
            yield Reference(constraint.referred_table.name, key)
    for name, (table_name, column) in chain(_NAMED.get(table.name, {}).items(), _ends(state)):
        if state.pending and (value := _value(state, table.c[name])):
            yield Reference(table_name, ((column, value),))


def _ends(state: InstanceState[Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    table = table_of(state.mapper).name
    for name, end in _TYPED.get(table, {}).items():
        kind = state.dict.get(name)
        kind = kind.value if isinstance(kind, Enum) else kind
        if kind not in _WORDS.get(table, ()):
            # An unknown kind of end is a row of no table, which nobody can see.
            yield end, _ENDS.get(kind or "", ("", ""))


def _value(state: InstanceState[Any], column: Column[Any]) -> Any:
    value = state.dict.get(state.mapper.get_property_by_column(column).key)
    # Ids arrive as text in some of MLflow's calls.
    return int(value) if value is not None and isinstance(column.type, Integer) else value


def is_changed(state: InstanceState[Any], column: Column[Any]) -> bool:
    """Return whether an attribute was set since the row was made or read."""
    return state.attrs[state.mapper.get_property_by_column(column).key].history.has_changes()


def _is_written(reference: Reference, written: list[InstanceState[Any]]) -> bool:
    """Return whether the row is itself about to be written, and so checked by itself."""
    return any(
        table_of(state.mapper).name == reference.table
        and all(
            _value(state, table_of(state.mapper).c[name]) == value for name, value in reference.key
        )
        for state in written
    )


def _is_visible(session: Session, reference: Reference) -> bool:
    mapper = mapped().get(reference.table)
    if mapper is None:
        return False
    columns = table_of(mapper).c
    values = {name: _stored(columns[name], value) for name, value in reference.key}
    if None in values.values():
        return False
    primary = [column.name for column in mapper.primary_key]
    if set(primary) == set(values):
        identity = mapper.identity_key_from_primary_key(tuple(values[n] for n in primary))
        if identity in session.identity_map:
            return True  # it was read under the row criteria
    attribute = {
        name: mapper.get_property_by_column(columns[name]).class_attribute for name in values
    }
    found = select(*attribute.values()).where(*(attribute[n] == v for n, v in values.items()))
    return session.execute(found.limit(1)).first() is not None


def _stored(column: Column[Any], value: Any) -> Any:
    """Return an id as its own table has it, None if it has none like that.

    Links have the numbers of experiments as text, which PostgreSQL does not compare with numbers.
    """
    if not isinstance(column.type, Integer) or isinstance(value, int):
        return value
    return int(value) if _NUMBER.fullmatch(value) else None
