"""GraphQL: the four queries that MLflow's own pages send, and no other.

Their resolvers read through the same stores as the REST endpoints, so they see the same rows.
"""

from collections.abc import Mapping
from typing import Final

from graphql import FieldNode, GraphQLError, OperationDefinitionNode, OperationType, parse

from extauthz.plugin.refusals import Denied, Malformed

QUERIES: Final = frozenset(
    {
        "mlflowGetExperiment",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowGetRun",
        "mlflowSearchRuns",
    }
)
# Fields that MLflow's pages do without, and such as change something.
REFUSED: Final = frozenset(
    {
        "mlflowListArtifacts",
        "mlflowSearchDatasets",
        "mlflowSearchModelVersions",
        "test",
        "testMutation",
    }
)
# MLflow's own documents have up to 2 KiB; parsing takes time with the length.
_LONGEST: Final = 16 * 1024
# Each field at the root is a search of its own. MLflow allows as many, but an environment variable
# changes that.
_MOST_FIELDS: Final = 10


def check_query(body: object) -> None:
    """Check the JSON body of a GraphQL request; raises Malformed, Denied."""
    text, variables = _parts(body)
    if len(text) > _LONGEST or len(str(variables)) > _LONGEST:
        raise Malformed(f"A GraphQL query and its variables have at most {_LONGEST} characters")
    try:
        definitions = parse(text).definitions
    except (GraphQLError, RecursionError) as error:
        raise Malformed("The GraphQL query cannot be parsed") from error
    operations = [d for d in definitions if isinstance(d, OperationDefinitionNode)]
    for operation in operations:
        _check_operation(operation)
    if sum(len(operation.selection_set.selections) for operation in operations) > _MOST_FIELDS:
        raise Malformed(f"A GraphQL query has at most {_MOST_FIELDS} fields at its root")


def _parts(body: object) -> tuple[str, Mapping[str, object]]:
    """Return the document and the variables of a request."""
    match body:
        case {"query": str(text), **rest}:
            variables, name = rest.get("variables"), rest.get("operationName")
            if isinstance(variables, dict | None) and isinstance(name, str | None):
                return text, variables or {}
    raise Malformed("Expected a GraphQL query in JSON")


def _check_operation(operation: OperationDefinitionNode) -> None:
    for selection in operation.selection_set.selections:
        # A fragment at the root could bring in any field.
        if (
            operation.operation is not OperationType.QUERY
            or not isinstance(selection, FieldNode)
            or selection.name.value not in QUERIES
        ):
            raise Denied("Of GraphQL, only the queries of MLflow's own pages are served")


def fields() -> list[str]:
    """Return the fields at the root of MLflow's own schema, changes included."""
    from mlflow.server.graphql.graphql_schema_extensions import schema  # noqa: PLC0415 - slow

    known = schema.graphql_schema
    roots = (known.query_type, known.mutation_type, known.subscription_type)
    return sorted({name for root in roots if root for name in root.fields})
