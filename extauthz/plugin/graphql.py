"""GraphQL: the four queries that MLflow's own pages send, and no other.

Their resolvers read through the same stores as the REST endpoints, so they see the same rows.
"""

from typing import Final

from graphql import FieldNode, GraphQLError, OperationDefinitionNode, OperationType, parse

from extauthz.plugin.refusals import Denied, Malformed

_QUERIES: Final = frozenset(
    {
        "mlflowGetExperiment",
        "mlflowGetMetricHistoryBulkInterval",
        "mlflowGetRun",
        "mlflowSearchRuns",
    }
)
# MLflow's own documents have up to 2 KiB; parsing takes time with the length.
_LONGEST: Final = 16 * 1024


def check_query(body: object) -> None:
    """Check the JSON body of a GraphQL request; raises Malformed, Denied."""
    text = body.get("query") if isinstance(body, dict) else None
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise Malformed("Expected a GraphQL query in JSON")
    try:
        definitions = parse(text).definitions
    except (GraphQLError, RecursionError) as error:
        raise Malformed("The GraphQL query cannot be parsed") from error
    for definition in definitions:
        if isinstance(definition, OperationDefinitionNode):
            _check_operation(definition)


def _check_operation(operation: OperationDefinitionNode) -> None:
    for selection in operation.selection_set.selections:
        # A fragment at the root could bring in any field.
        if (
            operation.operation is not OperationType.QUERY
            or not isinstance(selection, FieldNode)
            or selection.name.value not in _QUERIES
        ):
            raise Denied("Of GraphQL, only the queries of MLflow's own pages are served")
