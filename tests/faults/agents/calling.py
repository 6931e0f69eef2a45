"""`python -m tests.faults.agents.calling`: a caller who joins CALLER_URL by CALLER_TOKEN and stays until killed."""

from __future__ import annotations

import asyncio
import os

from livekit import rtc


async def main() -> None:
    await rtc.Room().connect(os.environ["CALLER_URL"], os.environ["CALLER_TOKEN"])
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
