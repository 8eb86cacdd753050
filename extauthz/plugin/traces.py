"""Traces in MLflow's tracking store: spans, assessments, and where the files of a trace are.

MLflow's own store looks for them in one workspace; in the global view the criteria of `rows` are
the filter. Spans are inserted past the sessions, for traces that MLflow has looked up before; that
it did is what `log_spans` makes sure of.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mlflow.server.handlers import _get_model_registry_store
from mlflow.store.db.db_types import SQLITE
from mlflow.store.tracking.dbmodels.models import SqlExperiment, SqlTraceInfo
from mlflow.store.tracking.sqlalchemy_store import _parse_trace_filter
from mlflow.store.tracking.sqlalchemy_workspace_store import (
    WorkspaceAwareSqlAlchemyStore as WorkspaceTracking,
)
from mlflow.tracing.constant import SpansLocation, TraceTagKey
from mlflow.utils.mlflow_tags import MLFLOW_ARTIFACT_LOCATION
from sqlalchemy import select

from extauthz.grant import View
from extauthz.plugin.artifacts import TRACE_ID
from extauthz.plugin.context import in_view, workspaces
from extauthz.plugin.refusals import Malformed, Missing
from extauthz.plugin.writes import Location, as_mlflow, check_tags

_ID: Final = re.compile(TRACE_ID)


class Traces(WorkspaceTracking):  # type: ignore[misc] # MLflow is untyped
    """Traces, their spans, assessments, tags and files."""

    def _trace_query(self, session: Any, *args: Any, **kwargs: Any) -> Any:
        if in_view(View.GLOBAL):
            query = super(WorkspaceTracking, self)._trace_query(session, *args, **kwargs)
            # MLflow then selects columns of the table, at which criteria come into a statement only
            # by a condition on the class.
            return query.filter(SqlTraceInfo.request_id.is_not(None))
        return super()._trace_query(session, *args, **kwargs)

    def start_trace(self, trace_info: Any) -> Any:
        """Start a trace, or complete one whose spans came first."""
        _check_words(trace_info.tags, trace_info.trace_metadata)
        return super().start_trace(trace_info)

    def deprecated_start_trace_v2(
        self, experiment_id: str, timestamp_ms: int, request_metadata: Any, tags: Any
    ) -> Any:
        """Start a trace of an older client."""
        _check_words(tags, request_metadata)
        return super().deprecated_start_trace_v2(
            experiment_id, timestamp_ms, request_metadata, tags
        )

    def deprecated_end_trace_v2(
        self, request_id: str, timestamp_ms: int, status: Any, request_metadata: Any, tags: Any
    ) -> Any:
        """End a trace of an older client."""
        _check_words(tags, request_metadata)
        return super().deprecated_end_trace_v2(
            request_id, timestamp_ms, status, request_metadata, tags
        )

    def log_spans(self, location: str, spans: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        """Log spans, all or none, to traces of this project.

        MLflow looks at the experiment only for a new trace, and silently drops the spans of a trace
        that another project has.
        """
        self.get_experiment(location)
        if self._is_taken({span.trace_id for span in spans}):
            raise as_mlflow(Missing("A trace of these spans is not in this project"))
        return super().log_spans(location, spans, *args, **kwargs)

    def _is_taken(self, trace_ids: Iterable[str]) -> bool:
        """Tell whether another project has one of these traces.

        Reads below the ORM: no row criteria show it.
        """
        traces, experiments = SqlTraceInfo.__table__, SqlExperiment.__table__
        foreign = (
            select(traces.c.request_id)
            .join(experiments, traces.c.experiment_id == experiments.c.experiment_id)
            .where(traces.c.request_id.in_(trace_ids), experiments.c.workspace.not_in(workspaces()))
        )
        with self.engine.connect() as connection:
            return connection.execute(foreign.limit(1)).first() is not None

    def _get_trace_artifact_location_tag(self, experiment: Any, trace_id: str) -> Any:
        # A client names a trace, and the name becomes part of a path.
        if not _ID.fullmatch(trace_id):
            raise as_mlflow(Malformed("The id of a trace is up to 50 letters, digits, _ and -"))
        tag = super()._get_trace_artifact_location_tag(experiment, trace_id)
        tag.value = Location(tag.value)
        return tag

    def get_trace_info(self, trace_id: str) -> Any:
        """Return a trace; its files are where MLflow puts them, whatever an older tag says.

        Before this plugin, such a tag could lead to any file of the server.
        """
        info = super().get_trace_info(trace_id)
        experiment = self.get_experiment(info.experiment_id)
        own = self._get_trace_artifact_location_tag(experiment, trace_id)
        info.tags[MLFLOW_ARTIFACT_LOCATION] = own.value
        return info

    def _get_spans_with_trace_info(self, trace_info: Any, *args: Any, **kwargs: Any) -> Any:
        # What archives traces is a job, and those are off: such a tag is older than this plugin.
        if trace_info.tags.get(TraceTagKey.SPANS_LOCATION) == SpansLocation.ARCHIVE_REPO.value:
            return []
        return super()._get_spans_with_trace_info(trace_info, *args, **kwargs)

    def _select_archived_traces_for_delete(self, **_: Any) -> list[Any]:
        # MLflow would delete the file that such a tag leads to.
        return []

    def _delete_traces(self, experiment_id: str, *args: Any, **kwargs: Any) -> int:
        self.get_experiment(experiment_id)
        deleted: int = super()._delete_traces(experiment_id, *args, **kwargs)
        return deleted

    def link_prompts_to_trace(self, trace_id: str, prompt_versions: Sequence[Any]) -> None:
        """Link versions of prompts that the project's registry has."""
        for version in prompt_versions:
            _get_model_registry_store().get_model_version(version.name, version.version)
        super().link_prompts_to_trace(trace_id, prompt_versions)

    def search_traces(
        self, experiment_ids: Any = None, filter_string: str | None = None, **kwargs: Any
    ) -> Any:
        """Search as MLflow does, but in SQLite without regular expressions."""
        self._check_filter(filter_string)
        return super().search_traces(experiment_ids, filter_string, **kwargs)

    def _build_trace_filter_subquery(
        self, session: Any, experiment_ids: Any, filter_string: str
    ) -> Any:
        self._check_filter(filter_string)
        return super()._build_trace_filter_subquery(session, experiment_ids, filter_string)

    def _check_filter(self, text: str | None) -> None:
        """Refuse what SQLite would ask Python to match: one expression can take it hours.

        Nothing else of the server runs in the meantime.
        """
        if self.db_type == SQLITE and any(
            clause.comparator.upper() == "RLIKE" for clause in _parse_trace_filter(text)
        ):
            raise as_mlflow(Malformed("RLIKE needs PostgreSQL: use LIKE or ILIKE here"))


def _check_words(*words: Mapping[str, str]) -> None:
    for each in words:
        check_tags(each)
