"""What stands in a cell's namespace about the budgets its workers may run with: read from any version, written in one.

    {"version": 2, "budgets": [{"config": {...}, "deployed": {...}, "seal": "..."}, ...]}    the oldest first

`deployed` is what a change needs (infra/budget/deployed.py), as it was solved then; `config` is for people and for a
way round. Keys that are not known here stay when an entry is written again. A higher `version` is refused once its
figures are needed: it is raised only where a figure's meaning changes, and a wrong figure would open more
connections than fit.

Version 0.1.0 wrote a list of configs without digests and figures (`configs.json`), which is read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from infra.budget import solve
from infra.budget.deployed import Deployed, NotFigures, deployed, figures
from infra.budget.solution import Solution
from infra.config import ConfigError, StackConfig, parse_config, without_unknown_keys
from infra.handoff.values import plain, seal

RECORD = "agent-budgets"
"""The ConfigMap that the program writes."""
ADOPTED = "agent-budgets-adopted"
"""The one that `python -m infra.adopt` writes, in the same form."""
KEY = "budgets.json"
KEY_OF_0_1_0 = "configs.json"
VERSION = 2

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """One deployment."""

    deployed: Deployed
    values: Values
    """As it is written, unknown keys included."""
    guessed: bool = False
    """From a config without a digest: `deployed` was solved now, its digest may be another than its workers'."""

    @property
    def digest(self) -> str:
        return self.deployed.digest

    @property
    def checksums(self) -> Sequence[str]:
        """Adopted: `checksum/config` of the pods that are meant, which carry no digest."""
        found: Sequence[str] = self.values.get("checksums", ())
        return found

    @property
    def config(self) -> StackConfig | None:
        """Where this version can still use it."""
        try:
            return parse_config(self.values.get("config", {}), "record")
        except ConfigError:
            return None


@dataclass(frozen=True)
class Record:
    """Deployments in their order, the newest last."""

    entries: tuple[Entry, ...] = ()
    rest: Values = field(default_factory=dict)
    """Further keys of the whole."""
    problems: tuple[str, ...] = ()
    """What in it cannot be used; of interest where the workers that are there need it."""
    notes: tuple[str, ...] = ()
    """What was assumed in reading it."""

    def __add__(self, other: Record) -> Record:
        return Record(
            self.entries + other.entries,
            {**self.rest, **other.rest},
            self.problems + other.problems,
            self.notes + other.notes,
        )

    def of(self, digests: set[str], new: str) -> Record:
        """Those that workers with these digests may run with, and all that were deployed since the oldest of them.

        Workers whose digest is nowhere are taken to be of any config that has none, if there are enough of those.

        Args:
            new: the digest of what is to be deployed, which needs no record.
        """
        known = {new, *(one.digest for one in self.entries)}
        unknown = sorted(digest for digest in digests - known if digest)
        nameless = [one for one in self.entries if one.guessed and one.digest not in digests]
        if unknown and len(unknown) <= len(nameless):
            return self._named(nameless, unknown).of(digests, new)
        first = next((n for n, one in enumerate(self.entries) if one.digest in digests), len(self.entries))
        return replace(self, entries=self.entries[first:])

    def _named(self, nameless: list[Entry], digests: list[str]) -> Record:
        entries: list[Entry] = []
        for one in self.entries:
            if one in nameless:
                entries += [_entry(replace(one.deployed, digest=digest), one.values) for digest in digests]
            else:
                entries.append(one)
        note = (
            f"the record is of version 0.1.0 and holds no digests: the workers of budget {', '.join(digests)} are "
            f"taken to be of what it holds"
            + (f", of the dearest of {len(nameless)} configs" if len(nameless) > 1 else "")
        )
        return replace(self, entries=tuple(entries), notes=(*self.notes, note))

    def then(self, new: Entry) -> Record:
        """With one more deployment. Of one that came and went repeatedly the first and the last time stay."""
        entries = list(self.entries)
        while entries and entries[-1].digest == new.digest:
            entries.pop()
        entries.append(new)
        figures = [one.deployed for one in entries]
        kept = [
            one
            for n, one in enumerate(entries)
            if not (one.deployed in figures[:n] and one.deployed in figures[n + 1 :])
        ]
        return replace(self, entries=tuple(kept))

    def text(self) -> str:
        """As it is written."""
        budgets = [dict(one.values) for one in self.entries]
        return json.dumps({**self.rest, "version": VERSION, "budgets": budgets}, sort_keys=True)


def entry(config: StackConfig, solution: Solution) -> Entry:
    """What is about to be deployed; nothing of its deployment, which may name what is nobody's business."""
    values = config.model_dump(mode="json", exclude_unset=True, exclude={"deployment"})
    return _entry(deployed(solution), {"config": values})


def adopted(figures: Deployed, checksums: Iterable[str]) -> Entry:
    """What runs already, by its rendered block."""
    return _entry(figures, {"checksums": sorted(checksums)})


def _entry(figures: Deployed, values: Values) -> Entry:
    kept = {key: value for key, value in values.items() if key != "seal"}
    whole: dict[str, Any] = {**kept, "deployed": plain(asdict(figures))}
    return Entry(figures, {**whole, "seal": seal(whole)})


def parse_record(data: Mapping[str, str], source: str) -> Record:
    """The record in a ConfigMap's data. Nothing is raised: what cannot be used stands in `problems`."""
    key = KEY if KEY in data else KEY_OF_0_1_0
    if key not in data:
        return Record()
    try:
        found = json.loads(data[key])
    except ValueError as error:
        return Record(problems=(f"{source}: {key} is no JSON ({error})",))
    if key == KEY_OF_0_1_0:
        return _parse_first(found, f"{source}: {key}")
    return _parse(found, f"{source}: {key}")


def _parse(found: Any, source: str) -> Record:
    budgets = found.get("budgets") if isinstance(found, dict) else None
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(version, int) or not isinstance(budgets, list):
        return Record(problems=(f"{source} is no record of budgets",))
    if version > VERSION:
        text = (
            f"{source} is of version {version}, this program reads up to {VERSION}: use the one that wrote it"
        )
        return Record(problems=(text,))
    rest = {key: value for key, value in found.items() if key not in ("version", "budgets")}
    record = Record(rest=rest)
    for number, values in enumerate(budgets):
        where = f"{source}: budgets[{number}]"
        try:
            record += _parse_entry(values, where)
        except (AttributeError, KeyError, NotFigures, TypeError) as error:
            record += Record(problems=(f"{where} is no budget ({error})",))
    return record


def _parse_entry(values: Any, where: str) -> Record:
    unsealed = {key: value for key, value in values.items() if key != "seal"}
    if seal(unsealed) != values.get("seal"):
        text = f"{where} was changed by hand (its seal does not match): nobody solved these figures"
        return Record(problems=(text,))
    return Record((Entry(figures(values["deployed"]), values),))


def _parse_first(found: Any, source: str) -> Record:
    if not isinstance(found, list):
        return Record(problems=(f"{source} is no list of configs",))
    record = Record()
    for number, values in enumerate(found):
        where = f"{source}[{number}]"
        try:
            usable, unknown = without_unknown_keys(values)
            config = parse_config(usable, where)
        except (ConfigError, TypeError) as error:
            record += Record(problems=(f"{where} cannot be used: {error}",))
            continue
        note = f"{where}: {', '.join(unknown)} is not known to this version and was passed over"
        solved = replace(entry(config, solve(config)), guessed=True)
        record += Record((solved,), notes=(note,) if unknown else ())
    return record
