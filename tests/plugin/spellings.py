"""Other spellings of the requests in `endpoints`, which must open nothing that those do not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.plugin.endpoint import Endpoint
from tests.plugin.endpoints import READS, WRITES
from tests.plugin.world import World

ENDPOINTS = (*READS, *WRITES)
_REFUSED = frozenset({400, 403, 404})
_UNDERSCORE = re.compile(r"_([a-z0-9])")


@dataclass(frozen=True, slots=True)
class Respelt:
    """A request, and the statuses that it may get where it is about another project."""

    method: str
    path: str
    body: object
    statuses: frozenset[int]


def respelt(endpoint: Endpoint, world: World) -> Iterator[Respelt]:
    """Yield requests about a project's objects: in camel case, with other slashes, and with HEAD.

    MLflow reads its messages from JSON in both cases, as Protobuf has it; and stock MLflow answers
    to a slash that is doubled or escaped.
    """
    for key in endpoint.keys:
        method, path, body = endpoint.about(world, key)
        address, _, query = path.partition("?")
        yield in_camel_case(method, path, body)
        folder, _, name = address.rpartition("/")
        for same in (f"/{path}", f"{folder}%2F{name}?{query}"):
            yield Respelt(method, same, body, _REFUSED | {endpoint.foreign})
        for asked, sent in ((query, body), (_camel(query), _camel_keys(body))):
            yield Respelt(method, f"{address}/?{asked}", sent, _REFUSED)
        if method == "GET":
            yield Respelt("HEAD", path, None, _REFUSED)


def in_camel_case(method: str, path: str, body: object) -> Respelt:
    """Return a request with its fields in camel case; those that are not read may be left out."""
    address, _, query = path.partition("?")
    return Respelt(method, f"{address}?{_camel(query)}", _camel_keys(body), _REFUSED | {200})


def _camel(text: str) -> str:
    pairs = (pair.partition("=") for pair in text.split("&"))
    return "&".join(f"{_camel_name(name)}{equals}{value}" for name, equals, value in pairs)


def _camel_name(name: str) -> str:
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name)


def _camel_keys(value: object) -> object:
    match value:
        case dict():
            return {_camel_name(key): _camel_keys(each) for key, each in value.items()}
        case list():
            return [_camel_keys(each) for each in value]
    return value
