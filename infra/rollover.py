"""What this `pulumi up` may deploy, given what runs: the new numbers, or first with servers that still hold the old.

A shrink takes two `up`s. The first rolls the fleet while the servers keep what the old workers may open; the second
shrinks the servers and is refused while an old worker still terminates. Growing takes one: servers come first anyway.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from infra.budget import digest, solve
from infra.config import StackConfig
from infra.running import Running, Worker
from infra.solution import Solution, grouped
from infra.transition import Transition, plan_transition, while_both_run
from infra.transition_report import refusal


class Refused(Exception):
    """This change would break a promise; the message says why and what to do."""


@dataclass(frozen=True)
class Rollover:
    """What to deploy, what to put on record before it, and what to tell the user."""

    solution: Solution
    record: tuple[StackConfig, ...]
    note: str


def plan_rollover(config: StackConfig, running: Running) -> Rollover:
    """Decides. Raises Refused."""
    new = digest(config)
    old = [worker for worker in running.workers if worker.budget != new]
    if not old:
        return Rollover(solve(config), (config,), "")
    configs = {digest(one): one for one in running.record}
    _refuse_unknown(old, configs)
    previous = [one for key, one in configs.items() if key != new and any(w.budget == key for w in old)]
    transitions = [plan_transition(one, config) for one in previous]
    for transition in transitions:
        if not transition.fits:
            raise Refused(refusal(transition))
    if not any(transition.two_ups for transition in transitions):
        return Rollover(_largest(transitions), (*previous, config), "")
    _refuse_second_up(new, configs, old, transitions)
    return Rollover(
        _largest(transitions),
        (*previous, config),
        "The servers keep what the old workers may open. Run `pulumi up` again when the last of them is gone, "
        f"{grouped(max(one.mixed.old_gone_seconds for one in transitions))} s from now at most.",
    )


def _refuse_unknown(old: list[Worker], configs: dict[str, StackConfig]) -> None:
    unknown = [worker for worker in old if worker.budget not in configs]
    if unknown:
        names = ", ".join(worker.name for worker in unknown[:3])
        raise Refused(
            f"{len(unknown)} workers run with numbers that are on no record ({names}): how many connections they "
            "may open is not known. Let them drain (scale their Deployment to 0) before this `pulumi up`."
        )


def _refuse_second_up(
    new: str, configs: dict[str, StackConfig], old: list[Worker], transitions: list[Transition]
) -> None:
    """The fleet has been rolled to these numbers already, and nothing is left to wait for but old workers' ends."""
    if list(configs)[-1] == new and all(worker.terminating for worker in old):
        servers = sorted(
            {
                datastore.title
                for transition in transitions
                for datastore in transition.mixed.datastores.values()
                if datastore.restarts_after
            }
        )
        grace = max(transition.old.time.termination_grace_period_seconds for transition in transitions)
        raise Refused(
            f"{len(old)} old workers still terminate ({', '.join(worker.name for worker in old[:3])}) and may hold "
            f"more connections than {' and '.join(servers)} will take: run `pulumi up` again when they are gone, "
            f"{grouped(grace)} s after their deletion at most."
        )


def _largest(transitions: list[Transition]) -> Solution:
    """Servers that take every old fleet beside the new one."""
    held = [while_both_run(transition) for transition in transitions]
    return dataclasses.replace(
        held[0],
        datastores={
            name: max((one.datastores[name] for one in held), key=lambda datastore: datastore.limit)
            for name in held[0].datastores
        },
    )
