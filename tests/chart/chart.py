"""The chart, rendered: what a release of some values would be."""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from helm_python import Chart, HelmError

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "charts" / "mlflow-extauthz"
TOPOLOGIES: Final = {
    path.name.removesuffix("-values.yaml"): path
    for path in sorted((CHART / "ci").glob("*-values.yaml"))
}
HELMS: Final = {
    version: ROOT / ".tools" / f"helm-{version}" / "helm" for version in ("3.17.2", "4.1.4")
}

Manifest = dict[str, Any]
Values = Mapping[str, Any]


class RefusedError(Exception):
    """Helm does not render these values; with its message."""


@dataclass(frozen=True, slots=True)
class Release:
    """The manifests of one release, and the notes that its operator reads."""

    manifests: tuple[Manifest, ...]
    notes: str = ""

    def all(self, kind: str) -> list[Manifest]:
        return [each for each in self.manifests if each["kind"] == kind]

    def has(self, kind: str) -> bool:
        return bool(self.all(kind))

    def one(self, kind: str, name: str = "") -> Manifest:
        """Return the only one, or the one whose name ends so."""
        found = [each for each in self.all(kind) if each["metadata"]["name"].endswith(name)]
        assert len(found) == 1, [each["metadata"]["name"] for each in found]
        return found[0]

    def container(self, part: str) -> Manifest:
        """Return the container of edge, envoy, mlflow or postgresql."""
        containers = self.pod(part)["containers"]
        (found,) = [each for each in containers if each["name"] == part]
        assert isinstance(found, dict)
        return found

    def pod(self, part: str) -> Manifest:
        (found,) = [
            each["spec"]["template"]["spec"]
            for each in (*self.all("Deployment"), *self.all("StatefulSet"))
            if each["metadata"]["labels"]["app.kubernetes.io/component"] == part
        ]
        assert isinstance(found, dict)
        return found

    def environment(self, part: str) -> dict[str, str]:
        """Return what is set to a value, and from which secret and key the rest comes."""
        return dict(_variables(self.container(part)["env"]))

    def envoy_config(self) -> Manifest:
        config = yaml.safe_load(self.one("ConfigMap", "-envoy")["data"]["envoy.yaml"])
        assert isinstance(config, dict)
        return config


def _variables(env: list[Manifest]) -> Iterator[tuple[str, str]]:
    for variable in env:
        if "value" in variable:
            yield variable["name"], variable["value"]
        else:
            key = variable["valueFrom"]["secretKeyRef"]
            yield variable["name"], f"<{key['name']}/{key['key']}>"


def values_of(topology: str) -> dict[str, Any]:
    values = yaml.safe_load(TOPOLOGIES[topology].read_text())
    assert isinstance(values, dict)
    return values


def texts(values: Values, *, name: str = "rel", namespace: str = "ns") -> dict[str, str]:
    """Render in this process; returns the text of each file. Raises RefusedError."""
    try:
        return _chart().render(dict(values), name=name, namespace=namespace)
    except HelmError as error:
        raise RefusedError(str(error)) from error


def render(values: Values, *, name: str = "rel", namespace: str = "ns") -> Release:
    """Render in this process; raises RefusedError."""
    files = texts(values, name=name, namespace=namespace)
    notes = [text for path, text in files.items() if path.endswith("NOTES.txt")]
    manifests = [text for path, text in files.items() if not path.endswith(("NOTES.txt", ".tpl"))]
    return Release(tuple(_parsed("\n---\n".join(manifests))), "".join(notes))


def rendered(topology: str) -> Release:
    return render(values_of(topology))


def template(
    helm: str, *arguments: str, values: Path, environ: Mapping[str, str] | None = None
) -> Release:
    """Render with a command line; raises RefusedError."""
    command = [str(HELMS[helm]), "template", "rel", str(CHART), "--namespace", "ns"]
    done = subprocess.run(
        [*command, "--values", str(values), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"HOME": "/nonexistent", **(environ or {})},
    )
    if done.returncode:
        raise RefusedError(done.stderr)
    return Release(tuple(_parsed(done.stdout)))


@cache
def _chart() -> Chart:
    return Chart.load(CHART)


def _parsed(text: str) -> list[Manifest]:
    return [each for each in yaml.load_all(text, _OneKey) if each]


class _OneKey(yaml.CSafeLoader):
    """Refuses a key that is there twice: the cluster would see only one of them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML calls it so
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice in one mapping: {sorted(map(str, keys))}"
        return super().construct_mapping(node, deep=deep)
