"""Whether the edge is asked about every request, and told what it needs to know."""

import asyncio
from typing import Final

from extauthz.doctor.deployment import LIST, STRANGER, Deployment, Probes
from extauthz.doctor.finding import Verdict, down, failed, passed, unchecked
from extauthz.doctor.wire import Answer

# They need a grant, which the edge gives to everybody.
_PUBLIC: Final = ("/version", "/static-files/extauthz.js")
# One of each kind that MLflow has, and those of the plugin.
_PATHS: Final = (
    *_PUBLIC,
    *("/", LIST, "/api/3.0/mlflow/traces/search", "/ajax-api/2.0/mlflow/experiments/search"),
    *("/ajax-api/3.0/mlflow/server-info", "/graphql", "/v1/traces", "/get-artifact"),
    *("/model-versions/get-artifact", "/api/2.0/mlflow-artifacts/artifacts"),
    *("/extauthz/v1/view", "/extauthz/v1/projects", "/doctor/nobody/tracking/", "/metrics"),
)
_ELSEWHERE: Final = "https://attacker.example"
_JSON: Final = ("Content-Type", "application/json")
_QUESTION: Final = b'{"max_results": 1}'
_UNAUTHENTICATED, _FORBIDDEN = 401, 403
_RULES: Final = (
    "Have Envoy ask the edge about every path: one ext_authz filter before all routes, in a mesh "
    "an AuthorizationPolicy with action CUSTOM and `rules: [{}]`, without notPaths."
)


async def every_path(deployment: Deployment) -> Verdict:
    """See whether the edge answers where nobody has proven who he is."""
    answers = await asyncio.gather(*(_unproven(deployment, path) for path in _PATHS))
    found = dict(zip(_PATHS, answers, strict=True))
    if passing := [path for path, answer in found.items() if answer.passed_the_edge_by]:
        return failed(f"MLflow says that nobody has checked {', '.join(passing)}", _RULES)
    others = [
        f"{path}: {answer.short}"
        for path, answer in found.items()
        if path not in _PUBLIC and not _refused(answer) and not answer.is_trouble
    ]
    if others:
        return failed(f"not the edge's refusal: {'; '.join(others)}", _RULES)
    if troubles := [answer.short for answer in found.values() if answer.is_trouble]:
        return down(troubles[0])
    refused = len(found) - len(_PUBLIC)
    return passed(f"the edge refuses all of {refused} paths without a credential")


async def cross_site(deployment: Deployment) -> Verdict:
    """See whether a page of another site can have a browser change things."""
    headers = (STRANGER, _JSON, ("Origin", _ELSEWHERE), ("Sec-Fetch-Site", "cross-site"))
    path = LIST.partition("?")[0]
    answers = [
        await deployment.ask("POST", path, headers, _QUESTION),
        await deployment.ask("POST", path, headers[:3], _QUESTION),
        await deployment.ask("POST", path, (*headers[:2], headers[3]), _QUESTION),
    ]
    if any(answer.passed_the_edge_by for answer in answers):
        return unchecked()
    if answers[0].is_trouble:
        return down(answers[0].short)
    if let := [answer.short for answer in answers if answer.status != _FORBIDDEN]:
        return failed(
            f"a POST that another site asks for is not refused as such: {', '.join(let)}",
            "Let Envoy's filter pass `origin` and `sec-fetch-site` on to the edge "
            "(allowed_headers), and no proxy in front remove them.",
        )
    return passed(f"a POST with the Origin {_ELSEWHERE} is refused")


async def public_url(deployment: Deployment) -> Verdict:
    """See whether the edge knows under which address people reach it."""
    origin = deployment.site.origin
    headers = (STRANGER, _JSON, ("Origin", origin), ("Sec-Fetch-Site", "same-origin"))
    answer = await deployment.ask("POST", LIST.partition("?")[0], headers, _QUESTION)
    if answer.passed_the_edge_by:
        return unchecked()
    if answer.is_trouble:
        return down(answer.short)
    if answer.status != _UNAUTHENTICATED:
        return failed(
            f"a POST from {origin} itself: {answer.short}",
            f"Set PUBLIC_URL of the edge and of MLflow to {deployment.public_url}.",
        )
    return passed(f"pages of {origin} may change things")


async def _unproven(deployment: Deployment, path: str) -> Answer:
    return await deployment.ask("GET", path, [STRANGER])


def _refused(answer: Answer) -> bool:
    """Tell the edge's own refusal: 401 with its challenge, or 404 for what is nowhere."""
    match answer.status, answer.json:
        case 401, {"error_code": "UNAUTHENTICATED"}:
            return True
        case 404, {"error_code": "RESOURCE_DOES_NOT_EXIST"}:
            return True
        case _:
            return False


PROBES: Final[Probes] = {
    "every path checked": every_path,
    "cross-site POST": cross_site,
    "public URL": public_url,
}
