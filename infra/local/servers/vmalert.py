"""vmalert: evaluates the rules of charts/monitoring and keeps what they record in the metrics store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.metrics_store import SCRAPE_SECONDS, MetricsStore
from infra.local.servers.probes import answers_http
from infra.supply.binaries import binary

START_SECONDS = 20.0


@dataclass(frozen=True)
class VmAlert:
    """A running vmalert. It notifies nobody: alerts are looked at."""

    process: Process
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ui(self) -> str:
        return f"{self.url}/vmalert/groups"


async def start(run: Run, store: MetricsStore, rules: dict[str, Any]) -> VmAlert:
    """Start it with these rules (a Prometheus rule file)."""
    return await retry_on_clash(lambda: _start(run, store, rules))


async def _start(run: Run, store: MetricsStore, rules: dict[str, Any]) -> VmAlert:
    file = run.private_file("metrics/rules.yaml", json.dumps(rules))  # JSON is YAML
    port = free_port()
    command: list[str | Path] = [
        binary("vmalert"),
        f"-rule={file}",
        f"-datasource.url={store.url}",
        f"-remoteWrite.url={store.url}",
        f"-remoteRead.url={store.url}",
        f"-evaluationInterval={SCRAPE_SECONDS}s",
        "-rule.evalDelay=0s",  # 30 s by default, for stores that are slower to show what they took
        "-remoteWrite.flushInterval=500ms",
        "-notifier.blackhole",
        f"-httpListenAddr={LOOPBACK}:{port}",
        "-loggerLevel=WARN",
    ]
    process = run.start("vmalert", command)
    await process.ready(lambda: answers_http(f"http://{LOOPBACK}:{port}/health"), within=START_SECONDS)
    return VmAlert(process, port)
