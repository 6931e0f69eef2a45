"""How a process ends that joined a room."""

from __future__ import annotations

import subprocess
import sys

from infra.local.rooms import LAST_CALLBACK_SECONDS

# What comes when, at the end of a process that had a room.
TELLS_ITS_END = """
import time
from livekit.rtc._ffi_client import FfiClient
from infra.local.rooms import new_room

def telling(what, done):
    def tell(*given):
        print(what, *given)
        return done(*given)
    return tell

time.sleep = telling("waits", time.sleep)
new_room()
library = FfiClient.instance._ffi_lib
library.livekit_ffi_dispose = telling("the library lets go", library.livekit_ffi_dispose)
"""


def test_once_the_library_has_let_go_a_callback_under_way_still_finds_an_interpreter() -> None:
    command = [sys.executable, "-c", TELLS_ITS_END]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    told = f"the library lets go\nwaits {LAST_CALLBACK_SECONDS}\n"
    assert (done.returncode, done.stdout) == (0, told), done.stderr
