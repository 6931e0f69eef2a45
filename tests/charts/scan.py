"""`python -m tests.charts.scan CHECKOV`: what checkov finds insecure in every scenario and every Dockerfile.

Exit status 1 when it finds something that is not in EXCEPTIONS, or no longer finds something that is.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.supply.places import cache_directory
from tests.charts.render import ROOT
from tests.charts.scenarios import SCENARIOS

DOCKERFILES = ROOT / "docker" / "agent"


@dataclass(frozen=True)
class Finding:
    """One check that failed, in a chart or for a Dockerfile."""

    check: str
    where: str
    resource: str
    title: str

    @property
    def keys(self) -> tuple[tuple[str, str], ...]:
        """Under which it may be excepted."""
        if self.where.startswith("docker/"):
            return ((self.where, self.check),)
        part = self.resource.rpartition("-")[2]
        return ((self.where, self.check), (f"{self.where}/{part}", self.check), ("charts", self.check))

    @property
    def accepted(self) -> bool:
        return any(key in EXCEPTIONS for key in self.keys)


# What is accepted, by (chart, or "charts" for all, or chart/part, or Dockerfile; check), and why. A part is what the
# object's name ends with.
EXCEPTIONS = {
    (
        "charts",
        "CKV_K8S_11",
    ): "CPU is requested; a limit would throttle audio, or a database that everybody waits for",
    (
        "charts",
        "CKV_K8S_15",
    ): "a digest, or a tag that is never moved, needs no second pull; Always is one value away",
    ("agent-worker/watcher", "CKV_K8S_8"): "it serves nobody, and asks again while it lives",
    ("agent-worker/watcher", "CKV_K8S_9"): "as above",
    ("charts", "CKV_K8S_35"): "LiveKit, its server and the exporters read variables, not files",
    ("charts", "CKV_K8S_43"): "the scenarios show tags where they are about tags; every chart takes digests",
    (
        "redis",
        "CKV_K8S_8",
    ): "a server that is busy with a long command is not to be killed, and one that is gone ends",
    ("redis", "CKV_K8S_40"): "the official image's own user",
    ("mongodb", "CKV_K8S_8"): "as for redis",
    ("mongodb", "CKV_K8S_40"): "the official image's own user",
    (
        "livekit",
        "CKV_K8S_19",
    ): "hostNetwork is a scenario: media without node ports, for development clusters",
    ("livekit", "CKV_K8S_40"): "the scenario shows that the user can be set",
    (
        "monitoring",
        "CKV2_K8S_6",
    ): "its exporters dial the managed servers a user names; the store that scrapes them has a place of its own",
    ("docker/agent/Dockerfile", "CKV_DOCKER_2"): "Kubernetes ignores HEALTHCHECK; the chart has the probes",
    ("docker/agent/Dockerfile", "CKV_DOCKER_7"): "the base is an argument, whose default names a version",
}


def main(checkov: str) -> int:
    """Scan, unless these very files were found clean before; the exit status."""
    clean = cache_directory() / "scanned" / _content()
    if clean.exists():
        print("checkov: nothing has changed since it found nothing new")
        return 0
    found = [*_charts(checkov), *_dockerfiles(checkov)]
    new = [finding for finding in found if not finding.accepted]
    for finding in new:
        print(f"{finding.where}: {finding.check} {finding.title}: {finding.resource}", file=sys.stderr)
    stale = EXCEPTIONS.keys() - {key for finding in found for key in finding.keys}
    for where, check in sorted(stale):
        print(f"{where}: {check} is excepted and no longer found: remove it", file=sys.stderr)
    if new or stale:
        return 1
    clean.parent.mkdir(parents=True, exist_ok=True)
    clean.touch()
    print(
        f"checkov: {len(SCENARIOS)} scenarios and the Dockerfiles, {len(EXCEPTIONS)} exceptions with reasons"
    )
    return 0


def _content() -> str:
    """Of everything that decides what is found: what is scanned, the exceptions, checkov's own version."""
    digest = hashlib.sha256()
    for text in (
        *(f"{scenario.chart}-{scenario.name}\0{scenario.rendered()}" for scenario in SCENARIOS),
        *(file.read_text() for file in sorted(DOCKERFILES.glob("Dockerfile*"))),
        Path(__file__).read_text(),
        (ROOT / "uv.lock").read_text(),
    ):
        digest.update(f"{len(text)}\0{text}".encode())
    return digest.hexdigest()[:16]


def _charts(checkov: str) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as directory:
        files = {}
        for scenario in SCENARIOS:
            file = Path(directory, f"{scenario.chart}-{scenario.name}.yaml")
            file.write_text(scenario.rendered())
            files[file.name] = scenario.chart
        for failed in _failed(checkov, "kubernetes", directory):
            yield _finding(failed, files[Path(failed["file_path"]).name])


def _dockerfiles(checkov: str) -> Iterator[Finding]:
    for failed in _failed(checkov, "dockerfile", str(DOCKERFILES)):
        yield _finding(failed, f"docker/agent/{Path(failed['file_path']).name}")


def _finding(failed: dict[str, Any], where: str) -> Finding:
    return Finding(failed["check_id"], where, failed["resource"], failed["check_name"])


def _failed(checkov: str, framework: str, directory: str) -> list[dict[str, Any]]:
    command = [checkov, "--directory", directory, "--framework", framework, "--skip-download", "--quiet"]
    done = subprocess.run([*command, "--output", "json"], capture_output=True, text=True, check=False)
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        sys.exit(f"checkov said nothing that could be read:\n{done.stdout}{done.stderr}")
    if answer.get("passed") == 0 and "results" not in answer:
        sys.exit(f"checkov looked at nothing in {directory}")
    failed: list[dict[str, Any]] = answer["results"]["failed_checks"]
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
