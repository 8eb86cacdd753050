"""A deployment as it should be: everything is tested, and nothing found wrong."""

from pathlib import Path

from extauthz.doctor.command import DoctorOptions
from extauthz.doctor.examination import PROBES
from tests.doctor.deployment import Deployment, diagnosis
from tests.doctor.gateways import Gateway
from tests.servers.stack import login_gateway


def test_everything_passes(deployment: Deployment, healthy: Gateway) -> None:
    found = deployment.diagnosis(healthy)
    assert (found.code, found.wrong) == (0, set()), found.text
    assert found.untested == {"SharingHub cookie domain"}, found.text
    assert list(found.findings) == list(PROBES)


def test_it_needs_no_more_than_the_address(deployment: Deployment, healthy: Gateway) -> None:
    nothing = {"mlflow": "", "envoy_admin": "", "token_file": None, "database": ""}
    found = deployment.diagnosis(
        healthy, settings=dict.fromkeys(deployment.settings, ""), **nothing
    )
    assert (found.code, found.wrong) == (0, set()), found.text
    # GitLab is found by where people are sent to sign in.
    assert "OIDC discovery" not in found.untested
    assert {"direct MLflow", "Envoy version", "own project", "orphan workspaces"} <= found.untested


def test_nobody_is_asked_for_anything_that_changes(
    deployment: Deployment, healthy: Gateway
) -> None:
    before = deployment.mlflow.contents()
    deployment.diagnosis(healthy)
    assert deployment.mlflow.contents() == before


def test_below_a_path_over_plain_http_on_this_machine(
    deployment: Deployment, tmp_path: Path
) -> None:
    server = deployment.mlflow
    with login_gateway(tmp_path, deployment.gitlab, server, prefix="/mlflow") as stack:
        found = diagnosis(DoctorOptions(url=f"{stack.public_url}/", json=True), {})
    assert found.wrong == set(), found.text
    assert "certificate" in found.untested
    assert found.findings["path spellings"]["status"] == "pass"
