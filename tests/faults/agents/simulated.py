"""`python -m tests.faults.agents.simulated ROOM…`: an unregistered worker that starts a job for each room by itself.

LiveKit's `simulate_job` launches a process without asking `on_request`, so that nothing but the slots holds the cap.
"""

from __future__ import annotations

import asyncio
import sys

from tests.faults.agents.faulty import server


async def main(rooms: list[str]) -> None:
    started = asyncio.Event()
    server.on("worker_started", started.set)
    running = asyncio.create_task(server.run(unregistered=True))
    await started.wait()
    for room in rooms:
        await server.simulate_job(room, fake_job=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
