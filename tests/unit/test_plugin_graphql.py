import pytest

from extauthz.plugin.graphql import check_query
from extauthz.plugin.refusals import Denied, Malformed

RUN = """query GetRun($data: X!) @component(name: "y") {
  mlflowGetRun(input: $data) { run { info { runName } } }
}"""


@pytest.mark.parametrize(
    "query",
    [
        RUN,
        "{ mlflowSearchRuns(input: {}) { runs { info { runName } } } }",
        "{ a: mlflowGetExperiment(input: {}) { apiError { code } } mlflowGetRun(input: {}) { a } }",
        "{ mlflowGetRun(input: {}) { ...f } } fragment f on X { run { info { runName } } }",
    ],
)
def test_the_queries_of_the_pages_are_served(query: str) -> None:
    check_query({"query": query, "variables": {}})


@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ test(inputString: "x") { output } }',
        "{ mlflowListArtifacts(input: {}) { rootUri } }",
        "{ mlflowGetRun: mlflowListArtifacts(input: {}) { rootUri } }",
        'mutation { testMutation(inputString: "x") { output } }',
        "mutation { mlflowSearchRuns(input: {}) { runs { info { runName } } } }",
        "subscription { mlflowGetRun(input: {}) { a } }",
        "{ ...f } fragment f on Query { mlflowListArtifacts(input: {}) { rootUri } }",
        "{ ... on Query { mlflowListArtifacts(input: {}) { rootUri } } }",
        RUN + ' mutation M { testMutation(inputString: "x") { output } }',
    ],
)
def test_anything_else_is_not(query: str) -> None:
    with pytest.raises(Denied):
        check_query({"query": query})


@pytest.mark.parametrize(
    "body",
    [
        *(None, [], "", RUN, {}, {"query": None}, {"query": ["a"]}, [{"query": RUN}]),
        *({"query": RUN, "variables": [1]}, {"query": RUN, "variables": "x"}),
        *({"query": RUN, "variables": {"a": "x" * 20_000}}, {"query": RUN, "operationName": 5}),
        *({"query": "{"}, {"query": ""}, {"query": "{" * 10_000}, {"query": RUN + "#" * 20_000}),
    ],
)
def test_a_body_without_a_query_is_refused(body: object) -> None:
    """CVE-2025-14297, CVE-2025-0453: batches and floods."""
    with pytest.raises(Malformed):
        check_query(body)


@pytest.mark.parametrize("operations", ["query {{ {} }}", "query A {{ {} }} query B {{ {} }}"])
def test_only_so_many_fields_are_asked_for_at_once(operations: str) -> None:
    """Each is a search: CVE-2025-0453."""

    def query(most: int) -> dict[str, str]:
        count = most // operations.count("{}")
        fields = " ".join(f"a{at}: mlflowGetRun(input: {{}}) {{ a }}" for at in range(count))
        return {"query": operations.format(fields, fields)}

    check_query(query(10))
    with pytest.raises(Malformed):
        check_query(query(12))


def test_variables_may_be_left_out_or_empty() -> None:
    for variables in (None, {}, {"data": {"runId": "x"}}):
        check_query({"query": RUN, "variables": variables, "operationName": None})
