"""The question that Envoy asks the edge about a request, taken down from a real Envoy."""

from collections.abc import Mapping
from pathlib import Path

from extauthz._pb.external_auth_pb2 import CheckRequest
from extauthz.edge.answers import Deny, encode
from extauthz.edge.envoy_options import EnvoyOptions
from extauthz.edge.refusals import NotFound
from tests.servers.authz import authz
from tests.servers.envoy import envoy
from tests.servers.ports import free_port

# What MLflow's client sends.
CLIENT = {
    "user-agent": "mlflow-python-client/3.17.2",
    "accept-encoding": "gzip, deflate",
    "accept": "*/*",
}


async def question(folder: Path, target: str, headers: Mapping[str, str]) -> bytes:
    """Return the CheckRequest for a GET by MLflow's client, under our configuration of Envoy."""
    asked = []

    async def note(request: CheckRequest) -> bytes:
        asked.append(request.SerializeToString())
        return encode(Deny(NotFound("It is enough to have been asked.")))

    address = f"unix:{folder}/ask.sock"
    options = EnvoyOptions(
        listen=f"127.0.0.1:{free_port()}", check=(address,), admin=f"unix:{folder}/ask-admin.sock"
    )
    async with authz(address, note), envoy(options, folder) as proxy:
        sent = {**CLIENT, **headers}
        await proxy.get(target, *(f"{name}: {value}" for name, value in sent.items()))
    return asked[0]
