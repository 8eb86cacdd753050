"""Every topology renders with both Helms, into objects that Kubernetes takes."""

import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from tests.chart.chart import CHART, HELMS, TOPOLOGIES, Release, rendered, template

# The oldest that the chart supports, one between, and the newest with a published schema.
KUBERNETES: Final = ("1.29", "1.33", "1.37")
OURS: Final = ("apps/", "autoscaling/", "batch/", "networking.k8s.io/", "policy/", "v1")

every_topology = pytest.mark.parametrize("topology", TOPOLOGIES)
every_helm = pytest.mark.parametrize("helm", HELMS)


def without_random_keys(release: Release) -> list[object]:
    return [
        {**each, "data": sorted(each["data"])}
        if each["kind"] == "Secret" and "data" in each
        else each
        for each in release.manifests
    ]


def in_order(release: Release) -> list[str]:
    # Helm 4 sorts some kinds otherwise.
    return sorted(yaml.safe_dump(each) for each in without_random_keys(release))


@every_topology
def test_both_helms_render_the_same_objects_and_kubernetes_takes_them(topology: str) -> None:
    oldest, *newer = KUBERNETES
    values = TOPOLOGIES[topology]
    by_three, by_four = (
        template(helm, "--kube-version", f"{newer[-1]}.0", values=values) for helm in HELMS
    )
    assert in_order(by_three) == in_order(by_four)
    for each in newer:
        check(by_four, each)
    check(template("3.17.2", "--kube-version", f"{oldest}.0", values=values), oldest)


def check(release: Release, kubernetes: str) -> None:
    for manifest in release.manifests:
        if manifest["apiVersion"].startswith(OURS):
            kubernetes_validate.validate(manifest, kubernetes, strict=True)


@every_topology
def test_the_library_renders_what_the_command_line_does(topology: str) -> None:
    by_command = template("4.1.4", "--kube-version", "1.35.0", values=TOPOLOGIES[topology])
    names = {(each["kind"], each["metadata"]["name"]) for each in by_command.manifests}
    by_library = rendered(topology).manifests
    assert names == {(each["kind"], each["metadata"]["name"]) for each in by_library}


@pytest.mark.parametrize(
    ("helm", "topology"),
    [("3.17.2", "production"), *(("4.1.4", topology) for topology in TOPOLOGIES)],
)
def test_lint_finds_nothing(helm: str, topology: str) -> None:
    command = [
        str(HELMS[helm]),
        "lint",
        "--strict",
        str(CHART),
        "--values",
        str(TOPOLOGIES[topology]),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout
    assert "[ERROR]" not in done.stdout


@every_helm
def test_it_packages(helm: str, tmp_path: Path) -> None:
    command = [str(HELMS[helm]), "package", str(CHART), "--destination", str(tmp_path)]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    (archive,) = tmp_path.glob("mlflow-extauthz-*.tgz")
    assert archive.stat().st_size < 200_000


def test_the_chart_is_of_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version("extauthz")


def test_an_older_kubernetes_is_refused() -> None:
    with pytest.raises(Exception, match="kubeVersion"):
        template("4.1.4", "--kube-version", "1.28.0", values=TOPOLOGIES["gitlab"])


def test_pods_sleep_before_they_end_where_kubernetes_knows_how() -> None:
    """The API server of 1.29 refuses a preStop that only sleeps."""
    old, new = (
        template("4.1.4", "--kube-version", kubernetes, values=TOPOLOGIES["gitlab"])
        for kubernetes in ("1.29.0", "1.30.0")
    )
    for part in ("envoy", "mlflow"):
        assert "lifecycle" not in old.container(part)
        assert set(new.container(part)["lifecycle"]["preStop"]) == {"sleep"}
