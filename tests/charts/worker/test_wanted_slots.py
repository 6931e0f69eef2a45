"""What the scalers ask Prometheus, answered by Prometheus's own engine (promtool)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from infra.supply.binaries import binary
from tests.charts.worker.rendering import as_it_is, budget, one

LABELS = 'namespace="agents",pod="test-agent-worker-7d9f-{pod}"'
RULE = one(as_it_is("hpa"), "PrometheusRule")["spec"]
BUFFER = budget("hpa").scaling.buffer_jobs


def jobs(pod: str, running: int, labels: str = LABELS) -> dict[str, str]:
    return {"series": f"agent_jobs_running{{{labels.format(pod=pod)}}}", "values": f"{running}x5"}


def draining(pod: str, *, value: int) -> dict[str, str]:
    labels = LABELS.format(pod=pod)
    return {"series": f'agent_worker_state{{{labels},state="draining"}}', "values": f"{value}x5"}


CASES: dict[str, tuple[list[dict[str, str]], int | None]] = {
    "all that run": ([jobs("a", 7), jobs("b", 2), draining("a", value=0)], 9 + BUFFER),
    "not those of workers that drain": (
        [jobs("a", 7), jobs("b", 5), draining("a", value=0), draining("b", value=1)],
        7 + BUFFER,
    ),
    "no call is still the buffer": ([jobs("a", 0), draining("a", value=0)], BUFFER),
    "not another fleet's": (
        [jobs("a", 7), jobs("c", 50, 'namespace="agents",pod="other-agent-worker-7d9f-c"')],
        7 + BUFFER,
    ),
    # No answer, on which a scaler keeps what it has or goes to the maximum, rather than no call.
    "nothing when nobody is scraped": ([], None),
}


@pytest.mark.parametrize("case", CASES)
def test_wanted_slots(case: str, tmp_path: Path) -> None:
    series, wanted = CASES[case]
    labels = '{fleet="test-agent-worker",namespace="agents"}'
    expected: list[dict[str, Any]] = (
        [] if wanted is None else [{"labels": "agent_jobs_wanted" + labels, "value": wanted}]
    )
    (tmp_path / "rule.yaml").write_text(json.dumps(RULE))
    test = {
        "rule_files": ["rule.yaml"],
        "tests": [
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {"expr": "agent_jobs_wanted", "eval_time": "3m", "exp_samples": expected}
                ],
            }
        ],
    }
    (tmp_path / "test.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        [binary("promtool"), "test", "rules", tmp_path / "test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
