"""The report: a plan, for people and for programs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from extauthz.migrate.plan import Orphan, Plan, Share

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_SHOWN: Final = (
    *("experiments", "runs", "traces", "logged models", "models", "model versions", "aliases"),
    "datasets",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was planned, and what came of it."""

    database: str
    artifacts: str
    instance: str
    plan: Plan
    users: Sequence[str] = ()
    applied: bool = False
    failures: Sequence[str] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "database": self.database,
            "artifacts": self.artifacts,
            "instance": self.instance,
            "applied": self.applied,
            "in_use_by": list(self.users),
            "projects": [_share(share) for share in self.plan.shares],
            "leftovers": [asdict(leftover) for leftover in self.plan.leftovers],
            "orphans": [asdict(orphan) for orphan in self.plan.orphans],
            "notes": list(self.plan.notes),
            "failures": list(self.failures),
        }

    def as_text(self) -> str:
        """Return it for people."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"Database   {self.database} (of {self.instance or 'no instance yet'})"
        yield f"Artifacts  {self.artifacts}"
        yield ""
        for share in self.plan.shares:
            yield f"{share.workspace}  {', '.join(share.paths) or f'to {share.target}'}"
            yield f"    {_counts(share.rows)}"
            yield f"    {_number(share.files, 'files')}, {_size(share.bytes)}"
        if self.plan.leftovers:
            numbers = ", ".join(str(each.experiment) for each in self.plan.leftovers)
            yield f"Old files to clear away, of experiments that have moved: {numbers}"
        if self.plan.orphans:
            yield from ("", "What stays where it is, because somebody must look at it:")
            yield from (f"  {_orphan(orphan)}" for orphan in self.plan.orphans)
        yield from (f"Note: {note}" for note in self.plan.notes)
        yield from (f"Failed: {failure}" for failure in self.failures)
        yield from ("", self._end())

    def _end(self) -> str:
        what = f"{len(self.plan.shares)} projects, {_counts(self.plan.totals)}"
        if self.plan.is_empty:
            return "There is nothing to move."
        if self.failures:
            return "Not everything could be moved. See above, then run this again."
        if self.applied:
            return f"Moved: {what}."
        stop = "It is in use now, by " + ", ".join(self.users) + ". " if self.users else ""
        return f"To move: {what}. {stop}Stop MLflow, back up, then run this again with --apply."


def _share(share: Share) -> dict[str, Any]:
    return {
        "id": share.project,
        "workspace": share.workspace,
        "target": share.target,
        "paths": list(share.paths),
        "rows": dict(share.rows),
        "files": share.files,
        "bytes": share.bytes,
    }


def _orphan(orphan: Orphan) -> str:
    name = "" if orphan.id == orphan.name else f" {orphan.name!r}"
    number = repr(orphan.id) if orphan.id == orphan.name else orphan.id
    return f"{orphan.kind} {number}{name}: {orphan.why}: {orphan.detail}"


def _counts(rows: Mapping[str, int]) -> str:
    counted = Counter(dict(rows))
    return ", ".join(_number(counted[name], name) for name in _SHOWN if counted[name]) or "no rows"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun.removesuffix('s') if count == 1 else noun}".replace("aliase", "alias")


def _size(count: float) -> str:
    for unit in _UNITS:
        if count < _STEP or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= _STEP
    raise AssertionError
