"""An endpoint of the table, and the request that a test sends to it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from extauthz.plugin.rules import FLASK, NATIVE, Artifact, Key, Rule
from tests.plugin.world import World

Fields = dict[str, object]
TWINS = ("/api/", "/ajax-api/")
# About a file that they name in part, and an upload that must have begun.
UPLOADS = tuple(key for key, rule in FLASK.items() if rule.artifact is Artifact.PARTS)
_PARAMETER = re.compile(r"<(?:path:)?(\w+)>|\{(\w+):path\}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint as the table writes it, and the fields that address what a project holds.

    `foreign` is the answer when that project is another: 404, or 200 with nothing of it.
    """

    method: str
    path: str
    fields: Callable[[World], Fields]
    foreign: int = 404

    @property
    def keys(self) -> list[Key]:
        """The entries of the table that this is."""
        if self.path.startswith("/"):
            return [(self.method, self.path)]
        return [(self.method, twin + self.path) for twin in TWINS]

    @property
    def rule(self) -> Rule:
        """The rule of its entries."""
        key = self.keys[0]
        return NATIVE.get(key) or FLASK[key]

    def about(self, world: World, key: Key) -> tuple[str, str, object]:
        """Return method, path with query, and body of a request about a project's objects."""
        fields = self.fields(world)
        # MLflow wants some ids in the body as well as in the path.
        path = _PARAMETER.sub(lambda match: quote(str(fields[match[1] or match[2]])), key[1])
        if self.method == "PUT":
            return self.method, path, b"overwritten"
        if "upload-artifact" in path:
            return self.method, f"{path}?{urlencode(fields)}", b"overwritten"
        if self.method == "GET":
            return self.method, f"{path}?{urlencode(fields, doseq=True)}", None
        return self.method, path, fields

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def extended(fields: Callable[[World], Fields], **more: object) -> Callable[[World], Fields]:
    """Return the same fields with more."""
    return lambda world: fields(world) | more
