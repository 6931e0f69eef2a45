"""LiveKit's options in real workers: what is handed on is obeyed, and a worker that cannot take a call is not ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit import api, rtc

from agent.runtime.dispatch import place_call
from infra.local import stack as stacks
from infra.local import worker as workers
from infra.local.__main__ import STACK_FILE, solved
from infra.local.eventually import eventually
from infra.local.rooms import new_room
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.local.worker import COMMAND, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

AGENT = Path("tests/integration/agents/optioned.py")
START_SECONDS = 60.0


@asynccontextmanager
async def stack_of(tmp_path: Path) -> AsyncIterator[stacks.Stack]:
    solution, _ = solved(STACK_FILE, workers=1, slots=2)
    async with (
        Run("test-options", tmp_path) as run,
        stacks.running(run, solution, workers=0, say=lambda _: None) as stack,
    ):
        yield stack


def environment(stack: stacks.Stack, tmp_path: Path, kind: str = "", name: str = "") -> dict[str, str]:
    own = {"OPTIONED_MARKS": str(tmp_path), "OPTIONED_SLOW": str(tmp_path / "slow"), "OPTIONED_AS": kind}
    return {**stack.environment, **own, "AGENT_NAME": name, "AGENT_IDLE_PROCESSES": "1"}


async def came(tmp_path: Path, mark: str) -> None:
    await eventually((tmp_path / mark).exists, within=START_SECONDS, what=f"a job for {mark}")


async def test_a_worker_is_not_ready_and_not_registered_before_one_process_is_warm(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    async with stack_of(tmp_path) as stack, stack.line.api() as livekit:
        run = stack.run
        starting = asyncio.create_task(
            workers.start(
                run,
                "slow",
                environment(stack, tmp_path, name="slow") | {"OPTIONED_INITIALIZE_SECONDS": "5"},
                entrypoint=AGENT,
            )
        )
        await eventually(
            lambda: bool(run.processes) and run.processes[-1].name == "slow", within=5, what="it"
        )
        process = run.processes[-1]

        def said() -> str:
            return process.log.read_text(errors="replace")

        await eventually(
            lambda: "no job process was ready within 5 s (initialize_process_timeout)" in said(),
            within=START_SECONDS,
            what="told",
        )
        await eventually(
            lambda: said().count("error initializing process") > 2, within=START_SECONDS, what="tries"
        )
        assert not starting.done(), "ready though no process is warm"
        assert "registered worker" not in said()
        (tmp_path / "slow").unlink()
        worker: Worker = await starting
        assert await answers_http(f"{worker.url}/ready")
        await place_call(livekit, agent_name="slow", room="warm")
        await came(tmp_path, "warm.")


async def test_a_worker_without_a_name_takes_every_room_and_one_of_publishers_every_publisher(
    tmp_path: Path,
) -> None:
    async with stack_of(tmp_path) as stack, stack.line.api() as livekit:
        for kind in ("automatic", "publisher"):
            worker = await workers.start(
                stack.run,
                kind,
                environment(stack, tmp_path, kind, "publishers" if kind == "publisher" else ""),
                entrypoint=AGENT,
            )
            assert "nobody named the agent" not in worker.process.log.read_text()
            if kind == "automatic":
                await livekit.room.create_room(api.CreateRoomRequest(name=kind))
                await came(tmp_path, "automatic.")
            else:
                room = new_room()
                await room.connect(stack.line.url, stack.line.token(kind, "singer"))
                await livekit.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name="publishers", room=kind)
                )
                track = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(48_000, 1))
                await room.local_participant.publish_track(track)
                await came(tmp_path, "publisher.singer")
                await room.disconnect()
            await stack.run.stop(worker.process)


async def test_a_worker_with_two_names_ends_at_its_start_with_one_line(tmp_path: Path) -> None:
    own = {"OPTIONED_MARKS": str(tmp_path), "OPTIONED_SLOW": str(tmp_path / "slow")}
    names = {"AGENT_NAME": "agent-x", "LIVEKIT_AGENT_NAME": "agent-y"}
    async with Run("test-options", tmp_path) as run:
        process = run.start("two-names", [*COMMAND, AGENT], environment={**own, **names})
        assert await process.exited(within=START_SECONDS)
        assert await run.stop(process) == 1
        said = process.log.read_text()
        assert "the agent has two names: AGENT_NAME='agent-x', LIVEKIT_AGENT_NAME='agent-y'" in said
        assert "Traceback" not in said
