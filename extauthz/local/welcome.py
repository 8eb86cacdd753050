"""What `extauthz up` and `extauthz demo` show once everything serves."""

import sys
from collections.abc import Iterable, Sequence

from extauthz.edge.settings import Settings
from extauthz.local.gitlab.world import DemoUser
from extauthz.local.options import RunOptions
from extauthz.local.stack import LOOPBACK

PROJECT = "acme/vision/detector"
WRITER, READER = "bob", "gina"
_SEARCH = "api/2.0/mlflow/experiments/search?max_results=10"
_CREATE = "api/2.0/mlflow/experiments/create"


def up_text(settings: Settings, options: RunOptions, secret_key: str = "") -> str:
    """Say where things are; `secret_key` is the file that holds it, if one does."""
    rows = [
        ("MLflow of a project", f"{settings.public_url}/<group>/<project>/tracking/"),
        ("MLflow of all projects", f"{settings.public_url}/"),
        ("GitLab" if settings.gitlab_url else "SharingHub", settings.provider_url),
        ("Metrics of the edge", f"http://{LOOPBACK}:{options.admin_port}/metrics"),
    ]
    if secret_key:
        rows.append(("Secret key", secret_key))
    return "\n\n".join(["Everything is ready. Ctrl-C stops it.", _table(rows)])


def demo_text(settings: Settings, options: RunOptions, users: Iterable[DemoUser]) -> str:
    """Say where things are, who there is, and what to try."""
    people = list(users)
    tokens = {user.name: user.token for user in people}
    project = f"{settings.public_url}/{PROJECT}/tracking"
    return "\n\n".join(
        [
            up_text(settings, options),
            _table([("User", "Token", "May"), *((u.name, u.token, u.note) for u in people)]),
            *_browser(settings),
            _labelled(
                f"Allowed: {WRITER} reads his project.",
                f"curl -H 'Authorization: Bearer {tokens[WRITER]}' '{project}/{_SEARCH}'",
            ),
            _labelled(
                f"Refused: {READER} is a guest there, and guests do not write.",
                f"curl -H 'Authorization: Bearer {tokens[READER]}' "
                "-H 'Content-Type: application/json' "
                f"-d '{{\"name\": \"hers\"}}' '{project}/{_CREATE}'",
            ),
            _labelled("With MLflow's own client:", _client(project, tokens[WRITER])),
        ]
    )


def _browser(settings: Settings) -> list[str]:
    if not settings.has_login:
        return []
    return [
        _labelled(
            "In a browser: sign in as one of them, and see your projects.",
            settings.site.view(None, "/auth/"),
        )
    ]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
    return "\n".join(lines)


def _labelled(label: str, commands: str) -> str:
    # Not indented: a here-document would not end when pasted.
    return f"{label}\n{commands}"


def _client(uri: str, token: str) -> str:
    return f"""\
export MLFLOW_TRACKING_URI={uri} MLFLOW_TRACKING_TOKEN={token}
{sys.executable} - <<'END'
import mlflow
mlflow.set_experiment("first steps")
with mlflow.start_run():
    mlflow.log_param("rate", 0.1)
    mlflow.log_metric("loss", 0.5)
    mlflow.log_dict({{"hello": "world"}}, "hello.json")
print(mlflow.search_runs()[["run_id", "metrics.loss"]])
END"""
