"""VictoriaMetrics: scrapes workers and servers, keeps what they said, shows it at /vmui/."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.ports import LOOPBACK, free_port, retry_on_clash
from infra.local.process import Process
from infra.local.run import Run
from infra.local.servers.probes import answers_http
from infra.monitoring.dashboards.vmui import VMUI_DIRECTORY
from infra.supply.binaries import binary

START_SECONDS = 20.0
SCRAPE_SECONDS = 2
FLEET = "local"
# By itself the UI shows half an hour, and writes the query above each legend unless it groups lines by a label.
DASHBOARDS_PAGE = "#/dashboards?g0.range_input=5m&g0.relative_time=last_5_minutes&legend_group=fleet"


@dataclass(frozen=True)
class MetricsStore:
    """A running store; `targets` is the directory in whose files it looks for targets every second."""

    process: Process
    port: int
    targets: Path

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def ui(self) -> str:
        return f"{self.url}/vmui/"

    @property
    def dashboards(self) -> str:
        """The address of the dashboards: the last minutes of the run."""
        return self.ui + DASHBOARDS_PAGE

    def scrape(self, workers: Mapping[str, int]) -> None:
        """Scrape these workers (name → metrics port) from now on, and no others."""
        self._write(
            "workers",
            [_target(port, {"component": "worker", "worker": name}) for name, port in workers.items()],
        )

    def scrape_servers(self, port: int, datastores: Iterable[str]) -> None:
        """Scrape an exporter's page `/<datastore>` of each of these; each is one node here."""
        self._write(
            "servers",
            [
                _target(
                    port,
                    {
                        "component": "exporter",
                        "datastore": name,
                        "node": f"{name}-0",
                        "__metrics_path__": f"/{name}",
                    },
                )
                for name in datastores
            ],
        )

    def _write(self, file: str, targets: list[dict[str, Any]]) -> None:
        # Written beside and moved: the store must never read half a file.
        fresh = self.targets / f"{file}.new"
        fresh.write_text(json.dumps(targets))
        fresh.replace(self.targets / f"{file}.json")


def _target(port: int, labels: Mapping[str, str]) -> dict[str, Any]:
    """With the labels that charts/monitoring gives to what it scrapes."""
    return {"targets": [f"{LOOPBACK}:{port}"], "labels": {"fleet": FLEET, **labels}}


async def start(run: Run) -> MetricsStore:
    return await retry_on_clash(lambda: _start(run))


async def _start(run: Run) -> MetricsStore:
    targets = run.private_file("metrics/targets/workers.json", "[]").parent
    scrape = run.private_file("metrics/scrape.yaml", json.dumps(scrape_config(targets)))
    port = free_port()
    command: list[str | Path] = [
        binary("victoria-metrics"),
        f"-httpListenAddr={LOOPBACK}:{port}",
        f"-storageDataPath={run.directory('metrics/data')}",
        f"-promscrape.config={scrape}",
        f"-vmui.customDashboardsPath={VMUI_DIRECTORY}",
        "-promscrape.fileSDCheckInterval=1s",
        "-retentionPeriod=1d",  # the least it accepts
        "-search.latencyOffset=1s",  # 30 s by default: a live table would lag behind
        "-memory.allowedBytes=128MB",  # of a developer's machine; 60 % of it by default
        "-loggerLevel=WARN",
    ]
    process = run.start("victoria-metrics", command)
    await process.ready(lambda: answers_http(f"http://{LOOPBACK}:{port}/health"), within=START_SECONDS)
    return MetricsStore(process, port, targets)


def scrape_config(targets: Path) -> dict[str, Any]:
    """A Prometheus scrape configuration (JSON is YAML)."""
    return {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s"},
        "scrape_configs": [
            {"job_name": "agent-worker", "file_sd_configs": [{"files": [f"{targets}/*.json"]}]}
        ],
    }
