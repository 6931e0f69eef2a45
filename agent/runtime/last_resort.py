"""The end of a process that does not end: a hung close, an entrypoint that ignores its cancel, a blocked loop."""

from __future__ import annotations

import logging
import os
import threading
from typing import NoReturn

logger = logging.getLogger("agent.runtime")

FLUSH_SECONDS = 1.0
EXIT_NOT_CLOSED = 70  # tells "could not close" from a crash in the worker's log


class LastResort:
    """Ends this process `seconds` after it was armed, from a thread, so that a blocked event loop does not matter.

    The thread is there from the beginning: a process whose memory is exhausted could not start it any more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._armed, self._disarmed = threading.Event(), threading.Event()
        threading.Thread(target=self._watch, name="last-resort", daemon=True).start()

    def arm(self) -> None:
        """Start the clock; later calls change nothing. The process's own end disarms it."""
        self._armed.set()

    def disarm(self) -> None:
        """For a job that has closed in a process which goes on: LiveKit's `console`."""
        self._disarmed.set()

    @staticmethod
    def end_process(reason: str) -> NoReturn:
        """End at once; the kernel closes the sockets and frees the slot."""
        logger.critical("%s: ending the process", reason)
        # Bounded: whoever hangs may hold a log handler's lock.
        flush = threading.Thread(target=logging.shutdown, daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)
        os._exit(EXIT_NOT_CLOSED)

    def _watch(self) -> None:
        self._armed.wait()
        if self._disarmed.wait(self._seconds):
            return
        try:
            self.end_process("the job did not end in time")
        finally:
            os._exit(EXIT_NOT_CLOSED)
