"""The decision core in this process: the parts of a cached check, and the whole, in microseconds.

The question is one that Envoy asks under our configuration. The whole is `Checker.check` as it
serves: metrics are counted, and each decision is logged to a file.
"""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

from benchmarks.asking import PROJECT, status_of
from benchmarks.effort import Effort
from benchmarks.figures import Figures, markdown
from benchmarks.question import question
from benchmarks.timing import Calls, core, logging_to, settings_of, time_in_turn
from extauthz.edge.answers import Allow, encode
from extauthz.edge.check import Checker
from extauthz.edge.request import Request
from extauthz.edge.scope import scope_of
from extauthz.edge.settings import Settings
from extauthz.grant import GrantKey, GrantSigner
from tests.gitlab import DEVELOPER, GitLab
from tests.servers.mlflow import project

TARGET = f"/{PROJECT}/tracking/api/2.0/mlflow/experiments/get?experiment_id=1"
_COOKIES_KIB = (0, 1, 4, 16, 32)
_OK = 200


def measure(figures: Figures, effort: Effort, folder: Path) -> None:
    """Measure the parts, the whole, and the whole with more headers."""
    with GitLab.start() as gitlab, logging_to(folder / "core.log"):
        asyncio.run(_measure(figures, effort, folder, gitlab))


async def _measure(figures: Figures, effort: Effort, folder: Path, gitlab: GitLab) -> None:
    authorization = {"authorization": f"Bearer {member(gitlab)}"}
    asked = await question(folder, TARGET, authorization)
    async with core(gitlab.url) as checker:
        await known(checker, asked)
        calls = {**_parts(asked), "core.cached_us": lambda: checker.check(asked)}
        time_in_turn(figures, calls, rounds=effort.blocks, loops=effort.loops)
        sizes = {}
        for kib in _COOKIES_KIB:
            # Envoy tells the edge of cookies, and of little else that can be long.
            cookie = {"cookie": "; ".join(f"name-{n}={'x' * 500}" for n in range(2 * kib))}
            longer = await question(folder, TARGET, authorization | (cookie if kib else {}))
            await known(checker, longer)
            sizes[f"growth.headers_{kib}_kib_us"] = lambda longer=longer: checker.check(longer)
        time_in_turn(figures, sizes, rounds=effort.blocks, loops=effort.loops)


def member(gitlab: GitLab, name: str = "ann") -> str:
    """Make a project and a developer of it; returns his token."""
    gitlab.create_user(name)
    gitlab.create_project(PROJECT)
    gitlab.add_member(PROJECT, name, DEVELOPER)
    return gitlab.token(name)


async def known(checker: Checker, asked: bytes) -> None:
    """Have a question answered, so that all it needs is cached, and see that it is allowed."""
    answer = checker.check(asked)
    answer = await answer if isinstance(answer, Awaitable) else answer
    if status_of(answer) != _OK or not isinstance(checker.check(asked), bytes):
        raise AssertionError("the benchmark's own question must be allowed, and cached")


def _parts(asked: bytes) -> Calls:
    request = Request.parse(asked)
    signer = GrantSigner(GrantKey(Settings.load(settings_of("http://127.0.0.1:1")).grant_key))
    grant = project(7)
    allowed = Allow(signer.sign(grant), "/api/2.0/mlflow/experiments/get?experiment_id=1")
    return {
        "core.parse_us": lambda: Request.parse(asked),
        "core.scope_us": lambda: scope_of(request.path),
        "core.sign_us": lambda: signer.sign(grant),
        "core.answer_us": lambda: encode(allowed),
    }


def tables(values: dict[str, float]) -> str:
    """Return what was measured, as Markdown."""
    names = {
        "core.cached_us": "**a check, everything cached**",
        "core.parse_us": "of which reading the question",
        "core.scope_us": "of which the path's scope",
        "core.answer_us": "of which the answer",
        "core.sign_us": "signing a grant (every 30 s for a user in a project)",
        **{
            f"growth.headers_{kib}_kib_us": f"a check with {kib} KiB of cookies"
            for kib in _COOKIES_KIB
        },
    }
    rows = [(text, f"{values[name]:.1f}") for name, text in names.items()]
    return markdown(("decision core, one call", "µs"), rows)
