"""For all tests; and how `make test` runs them side by side (pytest-xdist, `-n N --dist loadgroup`).

The tests of a file share a process, and with it what the file's fixtures start; a test that says in which group it goes
(`xdist_group`) may go elsewhere. Every process imports what it might run, so that what is not run by default is left
alone unless it is asked for.
"""

from __future__ import annotations

import gc
import signal
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from infra.local import open_files
from tests.faults.recording import Recorder

# Tests that a marker leaves out by default, by the folder that holds nothing else.
BY_MARKER = {"cluster": "cluster"}

# A shell has its background jobs ignore Ctrl-C, which is inherited: tests that send it would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

open_files.allow_many()


@pytest.fixture
def what_pymongo_drops() -> Iterator[None]:
    """For tests that end a client of PyMongo while it connects: it leaves that socket to the garbage collector, which
    would tell of it in some other test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(autouse=True)
def _real_clients(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("integration"):
        request.getfixturevalue("what_pymongo_drops")


def pytest_collection_finish() -> None:
    gc.freeze()  # what is there for all tests is not looked through again by every collection


def side_by_side(config: pytest.Config) -> bool:
    """Whether this is one of several processes that run tests."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    if not side_by_side(config):
        config.pluginmanager.register(Recorder(), "fault rows")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    marker = BY_MARKER.get(collection_path.name) if collection_path.parent == Path(__file__).parent else None
    return True if marker and f"not {marker}" in str(config.option.markexpr) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(ids: Sequence[str]) -> None:
    """xdist hands a test's group over in its node id. Where that fails (3.8 with pytest 9.2) nothing says so: every
    test goes anywhere, and each process starts the servers of every file."""
    if any("@" not in test for test in ids):
        wanted = "--dist loadgroup, and a pytest whose node ids pytest-xdist can write (3.8 cannot write those of 9.2)"
        pytest.exit(f"the tests of a group would not stay together; that needs {wanted}", returncode=4)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Group by file; and what waits for servers comes first, the faults before all, so that nothing long is left for
    the end."""
    if not side_by_side(config):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    faults = Path(__file__).parent / "faults"
    items.sort(
        key=lambda item: (item.get_closest_marker("integration") is None, faults not in item.path.parents)
    )
