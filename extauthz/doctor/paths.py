"""Whether a path can be written so that the check and MLflow read it in two ways."""

from typing import Final

from extauthz.doctor.deployment import LIST, STRANGER, Deployment, Probes
from extauthz.doctor.finding import Verdict, down, failed, passed, unchecked
from extauthz.doctor.wire import Answer

# Each would reach MLflow's list of experiments, or a file of anybody, by another reading than that
# of `/static-files/`, which needs no credential, or of the route's name
# (CVE-2021-29492, CVE-2021-32779, CVE-2026-73511, CVE-2026-73551).
TRICKS: Final = (
    f"/{LIST}",
    f"//static-files/..{LIST}",
    f"/static-files/..{LIST}",
    f"/static-files/%2e%2e{LIST}",
    f"/static-files/..%2f{LIST[1:]}",
    f"/static-files/%2e%2e%2F{LIST[1:]}",
    f"/static-files/..;{LIST}",
    f"/static-files/%2e%2e;{LIST}",
    f"/static-files/..\\{LIST[1:]}",
    f"/static-files/..%5c{LIST[1:]}",
    f"/static-files/%252e%252e{LIST}",
    f"/static-files/..%252f{LIST[1:]}",
    f"/version;/..{LIST}",
    f"/health/..{LIST}",
    "/api/2.0/mlflow/experiments%2Fsearch?max_results=1",
    "/api/2.0/mlflow/experiments/search;x=1?max_results=1",
    "/%61pi/2.0/mlflow/experiments/search?max_results=1",
    "/api/2.0/mlflow//experiments/search?max_results=1",
    "/api/2.0/mlflow/./experiments/search?max_results=1",
    "/api/2.0/mlflow/experiments/search%00?max_results=1",
    "/api/2.0/mlflow/experiments/search%3f?max_results=1",
    "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2fx",
)
_REDIRECTS: Final = range(300, 400)
_REFUSALS: Final = frozenset({400, 401, 403, 404})


async def tricks(deployment: Deployment) -> Verdict:
    """Ask for what nobody may have, in every spelling."""
    plain = await deployment.ask("GET", LIST, [STRANGER])
    if plain.is_trouble:
        return down(plain.short)
    if plain.passed_the_edge_by:
        return unchecked()
    passing = []
    for trick in TRICKS:
        answer = await deployment.ask("GET", trick, [STRANGER])
        if not _harmless(answer):
            passing.append(f"{trick.partition('?')[0]}: {answer.short}")
    if passing:
        return failed(
            f"decided as something else than it is read as: {'; '.join(passing)}",
            "Set normalize_path, merge_slashes and path_with_escaped_slashes_action: "
            "REJECT_REQUEST in Envoy, and exempt no path from the check.",
        )
    return passed(f"{len(TRICKS)} spellings of a path are refused, or read as the plain one")


def _harmless(answer: Answer) -> bool:
    if answer.passed_the_edge_by:
        return False
    # A redirect to the plain path is decided when the client follows it.
    return answer.status in _REFUSALS or answer.status in _REDIRECTS


PROBES: Final[Probes] = {"path spellings": tricks}
