"""The course of a demo: start, two waves of calls with trouble in each, wait for quiet, stop, look what is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp

from infra.budget.solution import Solution
from infra.local import stack as stacks
from infra.local.demo import stored
from infra.local.demo.measure import Idle, counted, datastores_seen, fleet_seen, told
from infra.local.demo.report import Event, Kill, Leftovers, Report, Rollover
from infra.local.demo.trouble import drain_one_worker, kill_one_job
from infra.local.demo.waves import Calls, wave_sizes
from infra.local.eventually import beside, eventually
from infra.local.kernel import Sample
from infra.local.run import Run
from infra.local.stack import Say, Stack
from infra.local.watch import Watch, watching
from infra.local.worker import Worker

# After the last hang-up: LiveKit tells the agent within 2 s, the job stores its transcript and closes, gauges follow.
QUIET_SECONDS = 30.0
GONE_SECONDS = 5.0

Progress = Callable[[Calls, Stack], contextlib.AbstractAsyncContextManager[None]]


@dataclass
class Demo:
    """One demo; `course()` runs it."""

    run: Run
    solution: Solution
    calls: int
    workers: int
    say: Say
    progress: Progress
    events: list[Event] = field(default_factory=list)

    async def course(self) -> Report:
        """Run it to its end.

        Raises:
            StartFailed: something did not come up. What goes wrong later is in the report.
        """
        began = time.monotonic()
        async with (
            stacks.running(self.run, self.solution, workers=self.workers, say=self.say) as stack,
            watching(stack.workers) as watch,
        ):
            async with stack.line.api() as livekit:
                calls = Calls(stack.line, livekit)
                async with self.progress(calls, stack), calls:
                    killed, rolled = await self._waves(stack, watch, calls)
            self.say("all callers have hung up; waiting until no job is left")
            idle = await self._quiet(stack, watch)
            grace = self.solution.time.termination_grace_period_seconds
            await stack.stop_workers(within=grace)
            left = await self._gone(stack)
            self.say("all workers are gone; looking for the transcripts")
            missing = await stored.missing(stack.mongodb.url, calls.results)
        return Report(
            name=self.run.name,
            digest=self.solution.digest,
            seconds=round(time.monotonic() - began, 1),
            calls_wanted=self.calls,
            calls=calls.results,
            transcripts_missing=missing,
            datastores=datastores_seen(stack, watch, idle, left),
            fleet=fleet_seen(stack, watch, self.workers),
            kill=killed,
            rollover=rolled,
            leftovers=Leftovers(
                running={name: gauges.running for name, gauges in idle.gauges.items()},
                slots=left.slots,
                processes=stack.left_behind,
            ),
            events=self.events,
            counted=counted(stack),
            told=told(stack, watch),
        )

    async def _waves(self, stack: Stack, watch: Watch, calls: Calls) -> tuple[Kill | None, Rollover]:
        def mark(what: str) -> None:
            self.events.append(Event(round(time.monotonic() - stack.kernel.samples[0].at, 2), what))
            self.say(what)

        async def kill_and_replace() -> tuple[Kill | None, Worker]:
            killed = await kill_one_job(stack, watch, calls, mark)
            new = await stack.start_worker()
            mark(f"{new.name} is up")
            return killed, new

        first, second = wave_sizes(self.calls)
        mark(f"wave 1: {first} calls")
        killed, new = await beside(calls.wave(1, first), kill_and_replace())
        mark(f"wave 2: {second} calls")
        rolled = await beside(calls.wave(2, second), drain_one_worker(stack, calls, new, mark))
        return killed, rolled

    async def _quiet(self, stack: Stack, watch: Watch) -> Idle:
        """Wait until gauges and kernel agree that no job is left; what they say then, or at the deadline."""
        async with aiohttp.ClientSession() as session:

            async def look() -> Idle:
                return Idle(await watch.look(session), stack.kernel.sample())

            idle = await look()

            async def quiet() -> bool:
                nonlocal idle
                idle = await look()
                return idle.settled(self.solution)

            # Not raised: the report names what was left, with figures.
            with contextlib.suppress(TimeoutError):
                await eventually(quiet, within=QUIET_SECONDS, every=0.5, what="no job left")
            return idle

    async def _gone(self, stack: Stack) -> Sample:
        def gone() -> bool:
            sample = stack.kernel.sample()
            return not any(sample.connections.values()) and not any(sample.slots.values())

        with contextlib.suppress(TimeoutError):
            await eventually(gone, within=GONE_SECONDS, what="no connection left")
        return stack.kernel.latest
