"""What `extauthz up` and `extauthz demo` can be told."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Where things listen, where data goes, and how many workers the edge has.

    `mlflow_port` is the port in MLFLOW_URL unless given. `gitlab_port` is the demo GitLab's.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    mlflow_port: int | None = None
    admin_port: int = 9002
    gitlab_port: int = 8080
    data: Path = Path("data")
    env_file: Path = Path(".env")
    envoy: Path | None = None
    workers: int = 1
    reload: bool = False
