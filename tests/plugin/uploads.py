"""Uploads in parts, as MLflow's client makes them, one step at a time."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from extauthz.grant import Grant
from tests.plugin.world import World
from tests.servers.mlflow import Answer, MLflow, mlflow
from tests.servers.postgres import postgres
from tests.servers.s3 import S3, s3

API = "/api/2.0/mlflow-artifacts/mpu"
BUCKET = "mlflow"
# S3 takes a shorter part at the end only.
LARGE = b"x" * (5 * 1024 * 1024)
Sent = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Stores:
    """An MLflow, and the S3 server that has its artifacts."""

    mlflow: MLflow
    s3: S3

    def begun(self) -> set[str]:
        """Return the uploads that have begun and not ended."""
        listed = self.s3.client().list_multipart_uploads(Bucket=BUCKET)
        return {each["UploadId"] for each in listed.get("Uploads", ())}

    def contents(self) -> dict[str, str]:
        """Return a digest of everything that is kept."""
        return self.mlflow.contents() | dict.fromkeys(self.begun(), "")


@contextmanager
def stores(folder: Path) -> Iterator[Stores]:
    """Run an MLflow with a PostgreSQL and an S3 server until the block ends."""
    with postgres(folder / "postgres.log") as database, s3(folder) as objects:
        env = objects.environment | {
            "MLFLOW_BACKEND_STORE_URI": database.create("mlflow"),
            "MLFLOW_ARTIFACTS_DESTINATION": objects.create(BUCKET),
        }
        kept = lambda: database.contents("mlflow") | objects.contents(BUCKET)  # noqa: E731 - glue
        with mlflow(folder, env=env, kept=kept, measured=True) as server:
            yield Stores(server, objects)


@dataclass(slots=True)
class Upload:
    """The upload of a file of a run."""

    server: MLflow
    world: World
    name: str = "model.bin"
    api: str = API
    id: str = ""
    urls: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The name of its object."""
        return f"{self.world.files}/{self.name}"

    def ask(self, step: str, grant: Grant | None = None, /, **fields: object) -> Answer:
        """Ask MLflow for a step of the upload."""
        folder, _, name = self.key.rpartition("/")
        body = {"path": f"/home/ann/{name}", "upload_id": self.id} | fields
        path = f"{self.api}/{step}/{quote(folder)}"
        return self.server.ask("POST", path, grant or self.world.grant, body)

    def begin(self, parts: int = 2) -> "Upload":
        """Begin it."""
        answer = self.ask("create", num_parts=parts)
        assert answer.status == 200, answer.body
        self.id = answer.json["upload_id"]
        self.urls = [each["url"] for each in answer.json["credentials"]]
        return self

    def send(self, *contents: bytes) -> list[Sent]:
        """Send parts, from the first; returns their numbers and tags."""
        answers = [put(url, content) for url, content in zip(self.urls, contents, strict=True)]
        assert [answer.status for answer in answers] == [200] * len(contents)
        return [(number + 1, answer.headers["ETag"]) for number, answer in enumerate(answers)]

    def complete(self, parts: Sequence[Sent], grant: Grant | None = None) -> Answer:
        """Make a file of parts."""
        listed = [{"part_number": number, "etag": tag} for number, tag in parts]
        return self.ask("complete", grant, parts=listed)


def put(url: str, body: bytes = b"", method: str = "PUT", **headers: str) -> Answer:
    """Send a request to a signed address as it stands."""
    address = urlsplit(url)
    with closing(HTTPConnection(address.netloc, timeout=30)) as connection:
        sent: Any = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{address.path}?{address.query}", body, sent)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
