"""As much of a Kubernetes API server as Helm's `lookup` asks: which secrets are there."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import yaml

from tests.servers.ports import free_port

SECRETS: Final = "/api/v1/namespaces/ns/secrets/"
# Helm 4 looks up what it could be told to make.
KINDS: Final = {
    "v1": ("ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"),
    "apps/v1": ("Deployment", "StatefulSet"),
    "networking.k8s.io/v1": ("Ingress", "NetworkPolicy"),
    "policy/v1": ("PodDisruptionBudget",),
}


def secret(name: str, *, release: str = "", **keys: str) -> dict[str, Any]:
    """Return a secret as the cluster has it: made by a release of Helm's, or by hand."""
    data = {key.replace("_", "-"): b64encode(text.encode()).decode() for key, text in keys.items()}
    metadata: dict[str, Any] = {"name": name, "namespace": "ns"}
    if release:
        owner = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "ns"}
        metadata |= {"annotations": owner, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


@contextmanager
def cluster(folder: Path, *secrets: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Serve a cluster with these secrets; yields the environment in which Helm finds it."""
    answers: dict[str, Any] = {
        "/version": {"major": "1", "minor": "33", "gitVersion": "v1.33.0"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": _groups()},
        **{_place(version): _kinds(version) for version in KINDS},
        **{f"{SECRETS}{each['metadata']['name']}": each for each in secrets},
    }

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = answers.get(self.path.partition("?")[0])
            missing = {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            body = json.dumps(found or missing).encode()
            self.send_response(200 if found else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Answers)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {"KUBECONFIG": str(_kubeconfig(folder, server.server_port))}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _place(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _groups() -> list[dict[str, Any]]:
    return [
        {
            "name": each.partition("/")[0],
            "versions": [{"groupVersion": each, "version": each.partition("/")[2]}],
        }
        for each in KINDS
        if "/" in each
    ]


def _kinds(version: str) -> dict[str, Any]:
    resources = [
        {"name": f"{kind.lower()}s", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
        for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    place = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    context = {"name": "here", "context": {"cluster": "here", "user": "me"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [place],
        "contexts": [context],
        "users": [{"name": "me", "user": {}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path
