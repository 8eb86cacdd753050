"""The endpoint table: which MLflow endpoints exist behind a grant, and who may use them.

An endpoint that is not in the table does not exist: what `refused` names, and whatever a later
version adds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from types import MappingProxyType
from typing import Final

from extauthz.grant import View
from extauthz.plugin import served, served_evaluation, served_traces


class Action(StrEnum):
    """What an endpoint does to MLflow's rows and files; all but READ need the role `write`."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Artifact(Enum):
    """What a path in a request is relative to: the storage root, or a run or model.

    STORED is a file or a folder below the storage root, FILE a file only, PARTS the folder of a
    file that the body names.
    """

    NONE = auto()
    STORED = auto()
    FILE = auto()
    PARTS = auto()
    WITHIN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One endpoint: what it does, the views that have it, and where it takes a path from."""

    action: Action
    views: frozenset[View]
    artifact: Artifact = Artifact.NONE
    parameter: str = ""


Key = tuple[str, str]
"""A method, and a path as MLflow registers it."""

GRAPHQL: Final = "/graphql"
OTLP: Final = "/v1/traces"
_PROJECT: Final = frozenset({View.PROJECT})
_READERS: Final = frozenset({View.PROJECT, View.GLOBAL})
_ANYBODY: Final = frozenset({View.PROJECT, View.GLOBAL, View.PUBLIC})

_ARTIFACTS: Final = "2.0/mlflow-artifacts/artifacts"
_UPLOADS: Final = "2.0/mlflow-artifacts/mpu"
_PATH: Final = "artifact_path"


def _entry(text: str, rule: Rule, *prefixes: str) -> Iterator[tuple[Key, Rule]]:
    method, path = text.split(" ")
    for prefix in prefixes or ("/api/", "/ajax-api/"):
        yield (method, prefix + path), rule


def _twins() -> Iterator[tuple[Key, Rule]]:
    for family in (served, served_evaluation, served_traces):
        for actions, action, views in (
            (family.READ_EVERYWHERE, Action.READ, _READERS),
            (family.READ, Action.READ, _PROJECT),
            (family.CREATE, Action.CREATE, _PROJECT),
            (family.UPDATE, Action.UPDATE, _PROJECT),
            (family.DELETE, Action.DELETE, _PROJECT),
        ):
            for text in actions:
                yield from _entry(text, Rule(action=action, views=views))


def _artifacts() -> Iterator[tuple[Key, Rule]]:
    for text, action, artifact, parameter in (
        (f"GET {_ARTIFACTS}", Action.READ, Artifact.STORED, "path"),
        (f"DELETE {_ARTIFACTS}/<path:{_PATH}>", Action.DELETE, Artifact.STORED, _PATH),
        (f"POST {_UPLOADS}/create/<path:{_PATH}>", Action.UPDATE, Artifact.PARTS, _PATH),
        (f"POST {_UPLOADS}/complete/<path:{_PATH}>", Action.UPDATE, Artifact.PARTS, _PATH),
        (f"POST {_UPLOADS}/abort/<path:{_PATH}>", Action.UPDATE, Artifact.PARTS, _PATH),
        ("GET 2.0/mlflow/artifacts/list", Action.READ, Artifact.WITHIN, "path"),
        (
            "GET 2.0/mlflow/logged-models/<model_id>/artifacts/directories",
            Action.READ,
            Artifact.WITHIN,
            "artifact_directory_path",
        ),
    ):
        views = _READERS if action is Action.READ else _PROJECT
        rule = Rule(action=action, views=views, artifact=artifact, parameter=parameter)
        yield from _entry(text, rule)


def _pages() -> Iterator[tuple[Key, Rule]]:
    """Yield what exists without a twin: the UI, its own calls, and the plain endpoints."""
    for text, action, views, parameter in (
        ("GET /health", Action.READ, _ANYBODY, ""),
        ("GET /version", Action.READ, _ANYBODY, ""),
        ("GET /static-files/<path:path>", Action.READ, _ANYBODY, ""),
        ("GET /", Action.READ, _READERS, ""),
        (f"POST {GRAPHQL}", Action.READ, _READERS, ""),
        ("GET /get-artifact", Action.READ, _READERS, "path"),
        ("GET /model-versions/get-artifact", Action.READ, _READERS, "path"),
        ("POST /ajax-api/2.0/mlflow/upload-artifact", Action.UPDATE, _PROJECT, "path"),
        (
            "GET /ajax-api/2.0/mlflow/logged-models/<model_id>/artifacts/files",
            Action.READ,
            _READERS,
            "artifact_file_path",
        ),
        ("GET /ajax-api/2.0/mlflow/get-trace-artifact", Action.READ, _READERS, "path"),
        ("GET /ajax-api/3.0/mlflow/get-trace-artifact", Action.READ, _READERS, "path"),
        ("GET /ajax-api/2.0/mlflow/metrics/get-history-bulk", Action.READ, _READERS, ""),
        ("POST /ajax-api/2.0/mlflow/experiments/search-datasets", Action.READ, _READERS, ""),
    ):
        artifact = Artifact.WITHIN if parameter else Artifact.NONE
        rule = Rule(action=action, views=views, artifact=artifact, parameter=parameter)
        yield from _entry(text, rule, "")


def _native() -> Iterator[tuple[Key, Rule]]:
    stored = f"{_ARTIFACTS}/{{{_PATH}:path}}"
    for method, action, views in (
        ("GET", Action.READ, _READERS),
        ("PUT", Action.UPDATE, _PROJECT),
    ):
        rule = Rule(action=action, views=views, artifact=Artifact.FILE, parameter=_PATH)
        yield from _entry(f"{method} {stored}", rule)
    yield from _entry(f"POST {OTLP}", Rule(action=Action.CREATE, views=_PROJECT), "")
    yield from _entry("GET 3.0/mlflow/server-info", Rule(action=Action.READ, views=_READERS))
    yield from _entry("GET /health", Rule(action=Action.READ, views=_ANYBODY), "")


FLASK: Final[Mapping[Key, Rule]] = MappingProxyType(dict([*_twins(), *_artifacts(), *_pages()]))
NATIVE: Final[Mapping[Key, Rule]] = MappingProxyType(dict(_native()))
"""What MLflow serves past Flask, with routes of its own; the rest of those do not exist here."""
