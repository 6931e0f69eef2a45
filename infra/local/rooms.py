"""Rooms that a process of ours joins itself, and how such a process ends."""

from __future__ import annotations

import atexit
import functools
import time

from livekit import rtc

# The library's threads hold the interpreter's lock for under a millisecond; a busy machine may be late by tens.
LAST_CALLBACK_SECONDS = 0.1


def new_room() -> rtc.Room:
    """A room to connect; whoever asks for it disconnects it."""
    _at_exit_wait_for_the_last_callback()
    return rtc.Room()


@functools.cache
def _at_exit_wait_for_the_last_callback() -> None:
    """The library lets go of us at exit (`livekit_ffi_dispose`), but does not wait for a callback that is under way.

    A thread that asks for the interpreter's lock after its end is unwound by CPython before 3.14, and Rust aborts at
    that: "panic in a function that cannot unwind", exit code 134 after everything had passed. What is registered before
    the library's own function runs after it.
    """
    atexit.register(time.sleep, LAST_CALLBACK_SECONDS)
