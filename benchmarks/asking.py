"""Questions to the edge, as Envoy asks them."""

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from extauthz.edge.server import SERVICE

CHECK = f"/{SERVICE}/Check"
PROJECT = "acme/vision"


def check_of(token: str, client: str = "", project: str = PROJECT) -> bytes:
    """Return the question whether a token may read an experiment of a project."""
    headers = {"authorization": f"Bearer {token}"}
    if client:
        headers["x-envoy-external-address"] = client
    http = AttributeContext.HttpRequest(
        method="GET",
        host="mlflow.example.org",
        path=f"/{project}/tracking/api/2.0/mlflow/experiments/get?experiment_id=1",
        headers=headers,
    )
    return CheckRequest(
        attributes=AttributeContext(request=AttributeContext.Request(http=http))
    ).SerializeToString()


def status_of(answer: bytes) -> int:
    """Return the HTTP status that an answer stands for."""
    response = CheckResponse.FromString(answer)
    return response.denied_response.status.code if response.status.code else 200
