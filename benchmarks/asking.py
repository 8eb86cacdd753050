"""Questions to the edge, as Envoy asks them."""

from extauthz._pb.external_auth_pb2 import AttributeContext, CheckRequest, CheckResponse
from extauthz.edge.server import SERVICE

CHECK = f"/{SERVICE}/Check"
PROJECT = "acme/vision"
GET = "/api/2.0/mlflow/experiments/get?experiment_id=1"


def check_of(token: str, client: str = "", project: str = PROJECT) -> bytes:
    """Return the question whether a token may read an experiment of a project."""
    return check_at(f"/{project}/tracking{GET}", token, client)


def check_at(target: str, token: str, client: str = "") -> bytes:
    """Return the question whether a token may GET a target."""
    headers = {"authorization": f"Bearer {token}"}
    if client:
        headers["x-envoy-external-address"] = client
    http = AttributeContext.HttpRequest(
        method="GET", host="mlflow.example.org", path=target, headers=headers
    )
    return CheckRequest(
        attributes=AttributeContext(request=AttributeContext.Request(http=http))
    ).SerializeToString()


def status_of(answer: bytes) -> int:
    """Return the HTTP status that an answer stands for."""
    response = CheckResponse.FromString(answer)
    return response.denied_response.status.code if response.status.code else 200
