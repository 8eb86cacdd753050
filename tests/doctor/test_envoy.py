"""Envoys broken in one way each: exactly that is found."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.doctor.deployment import Deployment
from tests.doctor.gateways import (
    Change,
    Config,
    authorizer_of,
    exempt,
    gateway,
    manager_of,
    routes_of,
)
from tests.servers.envoy import ALL


def ask_nobody(config: Config) -> None:
    filters = manager_of(config)["http_filters"]
    filters[:] = [it for it in filters if "ext_authz" not in it["name"]]


def fail_open(config: Config) -> None:
    authorizer_of(config)["failure_mode_allow"] = True


def ask_twice(config: Config) -> None:
    filters = manager_of(config)["http_filters"]
    (first,) = [it for it in filters if "ext_authz" in it["name"]]
    filters.insert(filters.index(first), {**first, "name": f"{first['name']}/again"})


def hide_where_it_comes_from(config: Config) -> None:
    patterns = authorizer_of(config)["allowed_headers"]["patterns"]
    patterns[:] = [it for it in patterns if it["exact"] not in ("origin", "sec-fetch-site")]


def strip_nothing_from_an_exempt_path(config: Config) -> None:
    del manager_of(config)["early_header_mutation_extensions"]
    exempt({"path": "/version"}, config)


def merge_no_slashes(config: Config) -> None:
    del manager_of(config)["merge_slashes"]
    exempt({"prefix": "//"}, config)


def exempt_pages(config: Config) -> None:
    for path in ("/auth/login", "/auth/logout"):
        exempt({"path": path}, config, cluster="pages")


def forget_pages(config: Config) -> None:
    del routes_of(config)[:-1]


def be_another_mlflow(config: Config) -> None:
    answer = {"status": 200, "body": {"inline_string": "2.22.0"}}
    routes_of(config).insert(0, {"match": {"path": "/version"}, "direct_response": answer})


BROKEN: Mapping[str, tuple[Change, set[str]]] = {
    "without ext_authz": (ask_nobody, {"every path checked", "fail-open", "auth pages"}),
    "with failure_mode_allow": (fail_open, {"fail-open"}),
    "with two enforcement points": (ask_twice, {"double enforcement"}),
    "with too few allowed_headers": (hide_where_it_comes_from, {"cross-site POST"}),
    "without the early strip, past the edge": (
        strip_nothing_from_an_exempt_path,
        {"spoofed grant", "exempt routes", "every path checked"},
    ),
    "with unmerged slashes past the edge": (merge_no_slashes, {"path spellings", "exempt routes"}),
    "with pages past the edge": (exempt_pages, {"auth pages", "exempt routes"}),
    "without routes to the pages": (forget_pages, {"auth pages"}),
    "before another MLflow": (be_another_mlflow, {"MLflow version"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration(name: str, deployment: Deployment, tmp_path: Path) -> None:
    change, wanted = BROKEN[name]
    with _envoy(deployment, tmp_path, change) as broken:
        found = deployment.diagnosis(broken)
    assert (found.wrong, found.code) == (wanted, 1), found.text


def test_a_second_enforcement_point_is_told_by_a_token_that_gets_lost(
    deployment: Deployment, tmp_path: Path
) -> None:
    with _envoy(deployment, tmp_path, ask_twice) as broken:
        found = deployment.diagnosis(broken, envoy_admin="")
    assert found.wrong == {"double enforcement"}, found.text
    assert "own project" in found.untested


def test_an_envoy_with_known_holes(deployment: Deployment, tmp_path: Path) -> None:
    """CVE-2026-47205, CVE-2026-73511 and others."""
    with _envoy(deployment, tmp_path, binary=ALL["1.36.4"]) as old:
        found = deployment.diagnosis(old)
    assert found.wrong == {"Envoy version"}, found.text
    assert "1.36.4" in found.seen("Envoy version")


def _envoy(deployment: Deployment, folder: Path, change: Change | None = None, **more: Any) -> Any:
    changed = partial(gateway, folder, deployment.edge, deployment.mlflow.port, pem=deployment.pem)
    return changed(change, **more) if change else changed(**more)
