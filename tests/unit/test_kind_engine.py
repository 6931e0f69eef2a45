"""The Docker Engine that outlives the command that started it keeps nothing of that command's."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from infra.local.eventually import eventually
from infra.supply.offline.dockerd import _spawn


def test_what_outlives_its_starter_inherits_no_descriptor(tmp_path: Path) -> None:
    wanted = sorted([os.devnull, str(tmp_path / "log"), str(tmp_path / "log")])
    with (tmp_path / "lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)  # noqa: FBT003  # it takes no keyword
        pid = _spawn(["sleep", "60"], tmp_path / "log")

        def holds_its_own_alone() -> bool:
            try:
                return sorted(str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()) == wanted
            except FileNotFoundError:  # a library that it has just loaded
                return False

        try:
            asyncio.run(eventually(holds_its_own_alone, within=10, what=f"nothing open but {wanted}"))
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
