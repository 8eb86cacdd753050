"""Whether anybody can make up a grant, and whether MLflow stands alone."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from secrets import token_bytes, token_urlsafe
from typing import Final

from joserfc import jws
from joserfc.jwk import OctKey

from extauthz.doctor.deployment import LIST, STRANGER, Deployment, Probes
from extauthz.doctor.finding import Verdict, down, failed, passed, unchecked, untested
from extauthz.doctor.wire import Answer, Header, Unreachable
from extauthz.grant import HEADER, LIFETIME, View
from extauthz.levels import Role

_PATHS: Final = ("/version", "/health", LIST)
_TWIN: Final = HEADER.replace("-", "_")
_BAD_REQUEST, _FORBIDDEN = 400, 403
_STRIP: Final = (
    f"Have Envoy remove {HEADER} before its filters (early_header_mutation_extensions), and ask "
    "the edge, which sets it, about every path."
)
_PLUGIN: Final = (
    "Start MLflow with the plugin: mlflow server --app-name extauthz --enable-workspaces "
    "--workspace-store-uri extauthz:// --uvicorn-opts '--http httptools'. Until then nobody but "
    "Envoy may reach it."
)


async def spoofed(deployment: Deployment) -> Verdict:
    """See whether a client's own grant changes anything."""
    reached = []
    for path in _PATHS:
        usual = await deployment.ask("GET", path, [STRANGER])
        if usual.is_trouble:
            return down(f"{path}: {usual.short}")
        for name, headers in spoofs().items():
            answer = await deployment.ask("GET", path, [STRANGER, *headers])
            if _gist(answer) != _gist(usual):
                reached.append(f"{name} at {path.partition('?')[0]}: {answer.short}")
    if reached:
        return failed(f"a made-up grant reaches MLflow ({'; '.join(reached)})", _STRIP)
    return passed(f"{len(spoofs())} kinds of made-up grants change nothing")


async def twin(deployment: Deployment) -> Verdict:
    """See whether a header that differs by underscores is told from the grant (CVE-2025-64484)."""
    headers = [(_TWIN, token_urlsafe(32)), ("X_MLFLOW_WORKSPACE", "default")]
    answers = [await deployment.ask("GET", "/version", [header]) for header in headers]
    if all(answer.status == _BAD_REQUEST for answer in answers):
        return passed(f"{_TWIN} is refused")
    if any(answer.passed_the_edge_by for answer in answers):
        return unchecked()
    # A proxy in front may drop such headers (nginx does), or nobody cares for them.
    if not deployment.mlflow:
        return untested(
            f"{_TWIN} is answered with {answers[0].short}: dropped on the way, or let through",
            "Name MLflow's own address with --mlflow, to see whether it refuses them by itself.",
        )
    direct = await deployment.wire.ask("GET", f"{deployment.mlflow}/version", headers[:1])
    if direct.status == _BAD_REQUEST:
        return passed(f"{_TWIN} is dropped on the way, and MLflow refuses it")
    return failed(
        f"{_TWIN} is taken: {answers[0].short}, and by MLflow itself: {direct.short}",
        f"Set headers_with_underscores_action: REJECT_REQUEST in Envoy. {_PLUGIN}",
    )


async def direct(deployment: Deployment) -> Verdict:
    """See whether MLflow answers whom Envoy has not sent."""
    return await _at_mlflow(deployment, {"no grant": ()})


async def direct_spoofed(deployment: Deployment) -> Verdict:
    """See whether MLflow takes a grant that the edge has not made."""
    return await _at_mlflow(deployment, spoofs())


async def _at_mlflow(deployment: Deployment, cases: Mapping[str, Sequence[Header]]) -> Verdict:
    if not deployment.mlflow:
        return untested("MLflow's own address is not known", "Name it with --mlflow.")
    taken = []
    for name, headers in cases.items():
        for path in ("/version", LIST):
            try:
                answer = await deployment.wire.ask("GET", f"{deployment.mlflow}{path}", headers)
            except Unreachable as trouble:
                return untested(f"{trouble}. If others cannot reach it either, all is well")
            if answer.status != _FORBIDDEN or not _of_the_plugin(answer):
                taken.append(f"{name} at {path.partition('?')[0]}: {answer.short}")
    if taken:
        return failed(f"MLflow itself does not refuse {'; '.join(taken)}", _PLUGIN)
    return passed(f"MLflow refuses what comes with {', '.join(cases)}")


def spoofs() -> dict[str, tuple[Header, ...]]:
    """Return grants as somebody would make them up, by what is wrong with them."""
    now = int(time.time())
    claims = {
        "iss": "extauthz",
        "aud": "mlflow",
        "inst": "gitlab.com",
        "view": View.PROJECT,
        "role": Role.WRITE,
        "sub": "doctor",
        "name": "doctor",
        "id": 1,
        "path": "a/b",
        "links": ["", "", ""],
        "iat": now,
        "exp": now + LIFETIME,
    }
    late = {**claims, "iat": now - 2 * LIFETIME, "exp": now - LIFETIME}
    unsigned = f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."
    return {
        "a random one": ((HEADER, token_urlsafe(48)),),
        "an unsigned one": ((HEADER, unsigned),),
        "one of another key": ((HEADER, _signed(claims)),),
        "an expired one of another key": ((HEADER, _signed(late)),),
        "two of them": ((HEADER, unsigned), (HEADER.upper(), _signed(claims))),
    }


def _signed(claims: Mapping[str, object]) -> str:
    key, header = OctKey.import_key(token_bytes(32)), {"alg": "HS256", "kid": token_urlsafe(6)}
    return jws.serialize_compact(header, json.dumps(claims), key, ["HS256"])


def _part(claims: Mapping[str, object]) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def _gist(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.message


def _of_the_plugin(answer: Answer) -> bool:
    return answer.passed_the_edge_by or answer.brought_a_forged_grant


PROBES: Final[Probes] = {
    "spoofed grant": spoofed,
    "underscore twin": twin,
    "direct MLflow": direct,
    "direct MLflow, spoofed grant": direct_spoofed,
}
