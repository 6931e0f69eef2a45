"""A login's 1024 open files are not enough for a dozen callers: what runs them raises its own limit."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from infra.local.open_files import ENOUGH
from infra.local.run import ROOT

SHOW = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
RAISED = f"from infra.local import open_files; open_files.allow_many(); {SHOW}"


@pytest.mark.parametrize(("hard", "expected"), [(2048, 2048), (100, 100)])
def test_the_soft_limit_becomes_what_the_user_may_have(hard: int, expected: int) -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 1024), hard))

    done = subprocess.run(
        [sys.executable, "-c", RAISED],
        cwd=ROOT,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) == expected


def test_tests_run_with_it() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft in (hard, resource.RLIM_INFINITY) or soft >= ENOUGH
