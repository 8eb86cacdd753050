"""The survey: where a plan looks, and how the addresses in the rows are judged."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from extauthz.migrate.content import Content
from extauthz.migrate.files import Files
from extauthz.migrate.locations import Roots
from extauthz.migrate.rows import Settled


@dataclass(frozen=True, slots=True)
class Survey:
    """The database, what was found in it, how much hangs below experiments, and the files."""

    connection: Connection
    content: Content
    census: Mapping[int, Counter[str]]
    files: Files
    roots: Roots


def settling(roots: Roots, *, source: str, target: str, own: Collection[int]) -> Settled:
    """Return how the source of a model version changes from one workspace to another."""
    return partial(roots.moved, source=source, target=target, own=own.__contains__)
