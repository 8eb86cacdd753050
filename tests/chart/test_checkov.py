"""What checkov has to say of the manifests."""

import json
import subprocess
from pathlib import Path
from typing import Final

import yaml

from tests.chart.chart import ROOT, rendered

CHECKOV: Final = ROOT / ".tools" / "checkov" / "bin" / "checkov"
TOPOLOGIES: Final = ("gitlab", "istio", "production", "sharinghub", "storage")
EXCEPTIONS: Final = {
    "CKV_K8S_11": "a limit of CPU makes requests slow while CPUs idle; memory has one",
    "CKV_K8S_15": "a tag of ours stays what it is; Always needs the registry whenever a pod starts",
    "CKV_K8S_35": "MLflow takes its own from the environment only, and a file cannot be optional",
    "CKV_K8S_40": "1000 and 999 are the users of the images; they share no host path",
    "CKV_K8S_43": "an operator has a registry of his own, and image.digest",
}
# `helm test` makes it for a moment, and it serves nothing.
OF_THE_TEST: Final = {"CKV_K8S_8", "CKV_K8S_9", "CKV2_K8S_6"}


def test_checkov_finds_nothing_that_has_no_reason(tmp_path: Path) -> None:
    for topology in TOPOLOGIES:
        text = yaml.safe_dump_all(rendered(topology).manifests)
        (tmp_path / f"{topology}.yaml").write_text(text)
    command = [str(CHECKOV), "--directory", str(tmp_path), "--framework", "kubernetes"]
    options = ["--quiet", "--compact", "--skip-download", "--output", "json"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=120, check=False
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 1000
    failed = report["results"]["failed_checks"]
    found = {(each["check_id"], each["resource"]) for each in failed}
    assert {check for check, _ in found} >= EXCEPTIONS.keys()
    assert {
        (check, resource)
        for check, resource in found
        if check not in EXCEPTIONS
        and not (
            check in OF_THE_TEST and resource.startswith("Pod.") and resource.endswith("-test")
        )
    } == set()
