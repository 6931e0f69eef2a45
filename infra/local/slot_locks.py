"""Who owns a worker's slots, asked of the kernel: the lock of a slot file names the process that holds it.

Asking does not take the lock (F_GETLK), so it disturbs no job. This process owns no slot, and may therefore close the
files again (closing any descriptor of a file gives up one's own locks on it).
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from pathlib import Path

# struct flock: l_type, l_whence, l_start, l_len, l_pid. Linux, 64 bit; macOS puts the type and the pid last.
_LINUX = "hhqqi4x"
_MACOS = "qqihh"


def owners(directory: Path) -> dict[str, int]:
    """Slot → pid of the job process that owns it; free slots are left out."""
    found = {path.stem: _owner(path) for path in sorted(directory.glob("slot*.lock"))}
    return {slot: pid for slot, pid in found.items() if pid is not None}


def _owner(path: Path) -> int | None:
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if sys.platform == "darwin":
            request = struct.pack(_MACOS, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
            *_, pid, kind, _whence = struct.unpack(_MACOS, fcntl.fcntl(descriptor, fcntl.F_GETLK, request))
        else:
            request = struct.pack(_LINUX, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, *_, pid = struct.unpack(_LINUX, fcntl.fcntl(descriptor, fcntl.F_GETLK, request))
    finally:
        os.close(descriptor)
    return None if kind == fcntl.F_UNLCK else int(pid)
