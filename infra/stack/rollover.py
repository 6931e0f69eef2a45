"""What this `pulumi up` may deploy, given what runs: the new numbers, or first with servers that still hold the old.

A shrink takes two `up`s. The first rolls the fleet while the servers keep what the old workers may open; the second
shrinks the servers and is refused while an old worker still terminates. Growing takes one: servers come first anyway.
What the old workers may open is on record (`infra/stack/record.py`), in the figures of the version that deployed them.
"""

from __future__ import annotations

from dataclasses import dataclass

from infra.budget import solve
from infra.budget.solution import MixedDatastore, Solution, grouped
from infra.budget.transition import Transition, plan_transition, while_both_run
from infra.config import StackConfig
from infra.report.transition import refusal
from infra.stack.record import Record, entry
from infra.stack.running import Running, Worker


class Refused(Exception):
    """This change would break a promise; the message says why and what to do."""


@dataclass(frozen=True)
class Rollover:
    """What to deploy, what to put on record before it, and what to tell the user."""

    solution: Solution
    record: Record
    note: str


def plan_rollover(config: StackConfig, running: Running) -> Rollover:
    """Decides. Raises Refused."""
    solution = solve(config)
    new = entry(config, solution)
    old = [worker for worker in running.workers if worker.budget != new.digest]
    if not old:
        return Rollover(solution, Record(rest=running.record.rest).then(new), "")
    known = running.record.of({worker.budget for worker in running.workers}, new.digest)
    _refuse_unknown(old, known)
    record = known.then(new)
    previous = record.entries[:-1]
    transition = plan_transition([one.deployed for one in previous], config, previous[-1].config)
    if not transition.fits:
        raise Refused(refusal(transition))
    notes = [*known.notes, *map(_above, filter(_is_above, transition.mixed.datastores.values()))]
    if transition.two_ups:
        rolled = running.record.entries[-1].digest == new.digest
        if rolled and all(worker.terminating for worker in old):
            raise Refused(_wait(old, transition))
        notes.append(
            "the servers keep what the old workers may open. Run `pulumi up` again when the last of them is gone, "
            f"{grouped(transition.mixed.old_gone_seconds)} s from now at most"
        )
    return Rollover(while_both_run(transition), record, _sentences(notes))


def _refuse_unknown(old: list[Worker], known: Record) -> None:
    digests = {one.digest for one in known.entries}
    unknown = [worker for worker in old if worker.budget not in digests]
    if unknown:
        names = ", ".join(worker.name for worker in unknown[:3])
        text = (
            f"{len(unknown)} workers run with numbers that are on no record ({names}): how many connections they "
            "may open is not known. Adopt them (`python -m infra.adopt`, see UPGRADING.md), or let them drain (scale "
            "their Deployment to 0) before this `pulumi up`."
        )
        raise Refused("\n".join([text, *known.problems]))


def _wait(old: list[Worker], transition: Transition) -> str:
    """The fleet has been rolled to these numbers already, and nothing is left to wait for but old workers' ends."""
    servers = sorted(one.title for one in transition.mixed.datastores.values() if one.restarts_after)
    grace = max(one.time.termination_grace_period_seconds for one in transition.old)
    return (
        f"{len(old)} old workers still terminate ({', '.join(worker.name for worker in old[:3])}) and may hold "
        f"more connections than {' and '.join(servers)} will take: run `pulumi up` again when they are gone, "
        f"{grouped(grace)} s after their deletion at most."
    )


def _is_above(datastore: MixedDatastore) -> bool:
    return not datastore.moves and datastore.total > datastore.limit_during


def _above(datastore: MixedDatastore) -> str:
    return (
        f"{datastore.title} takes {grouped(datastore.limit_during)} connections a node, less than was known when "
        f"the workers were made that run: they may hold {grouped(datastore.total)} until the last of them is gone. "
        "This change makes that no worse"
    )


def _sentences(notes: list[str]) -> str:
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in notes)
