"""A real Prometheus, as a process."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.servers.ports import free_port
from tests.servers.processes import answers, running, until

SECONDS_BETWEEN_SCRAPES = 1


@dataclass(frozen=True, slots=True)
class Prometheus:
    """Where Prometheus listens."""

    port: int

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the values of what an expression is at this moment."""
        found = self._get("query", query=expression)
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """Return the alerting rules and how evaluating them went."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, what: str, **parameters: str) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{what}?{urlencode(parameters)}"
        with urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, *, jobs: Mapping[str, int], rules: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes a port of this machine for each job, until the block ends."""
    config, log, port = folder / "prometheus.yaml", folder / "prometheus.log", free_port()
    config.write_text(
        yaml.safe_dump(
            {
                "global": {
                    "scrape_interval": f"{SECONDS_BETWEEN_SCRAPES}s",
                    "evaluation_interval": "1s",
                },
                "rule_files": [str(rules)],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
                    for job, target in jobs.items()
                ],
            }
        )
    )
    argv = [
        *("prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"),
        *(f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"),
    ]
    with running(argv, log=log, cwd=folder) as process:
        until(lambda: answers(port, "/-/ready"), process, log=log)
        yield Prometheus(port)
