"""Jobs: slots, what was offered and refused, how calls ended, how their datastores opened and closed."""

from __future__ import annotations

from infra.monitoring.dashboards.panel import Dashboard, Panel, Query, Row


def _seconds(title: str, description: str, measured: Query, limit: Query) -> Panel:
    """How long something takes, against what the budget gives it."""
    return Panel(title, description, (measured, limit), unit="s", limits=(limit.legend,))


JOBS = Dashboard(
    name="agent-jobs",
    title="Agents: jobs",
    description="Calls: slots taken and free, requests refused, outcomes, opening and closing of datastores, drains.",
    rows=(
        Row(
            "Slots",
            (
                Panel(
                    "Calls running and slots of serving workers",
                    "The dashed line is the promise. Slots below it: workers are missing, or drain.",
                    (
                        Query("agent:jobs_running{$fleet}", "running"),
                        Query("agent:slots{$fleet}", "slots"),
                        Query("agent_budget:jobs{$fleet}", "promised"),
                    ),
                    limits=("promised",),
                ),
                Panel(
                    "Free slots",
                    "At 0 every further call is refused.",
                    (Query("agent:slots_free{$fleet}", "free"),),
                ),
            ),
        ),
        Row(
            "Calls",
            (
                Panel(
                    "Requests in 5 minutes",
                    "A refusal by one worker is offered to the others; with no slot free anywhere the call is lost.",
                    (
                        Query(
                            "sum by (fleet, result) (increase(agent_job_requests_total{$fleet}[5m]))",
                            "{{result}}",
                        ),
                    ),
                ),
                Panel(
                    "Calls ended in 5 minutes",
                    "Killed: the process died without closing; the kernel closed its sockets.",
                    (
                        Query(
                            "sum by (fleet, outcome) (increase(agent_jobs_total{$fleet}[5m]))", "{{outcome}}"
                        ),
                    ),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Datastores of a call",
            (
                _seconds(
                    "Opening, 95th percentile",
                    "Above the dashed line half of what a call may use to open all of them is gone.",
                    Query("agent:open_seconds:p95_5m{$fleet}", "{{datastore}}"),
                    Query("agent_budget:open_slow_seconds{$fleet}", "slow"),
                ),
                Panel(
                    "Closing, 95th percentile",
                    "Datastores of a call close under one deadline; one that hangs takes its share of it.",
                    (Query("agent:close_seconds:p95_5m{$fleet}", "{{datastore}}"),),
                    unit="s",
                ),
                Panel(
                    "Opens and closes that failed in 5 minutes",
                    "0 is right. A failed open is a lost call; a failed close ends with its process.",
                    (
                        Query("agent:open_failures:increase5m{$fleet}", "{{datastore}} open"),
                        Query("agent:close_failures:increase5m{$fleet}", "{{datastore}} close"),
                    ),
                ),
                Panel(
                    "Transcripts that wait in files",
                    "Workers store them as soon as MongoDB takes them; until then they go with their volume.",
                    (Query("agent:spooled_documents{$fleet}", "{{datastore}}"),),
                ),
            ),
        ),
        Row(
            "Workers",
            (
                _seconds(
                    "Drains in progress",
                    "How long each has lasted. At the dashed line LiveKit ends the calls that are left.",
                    Query("agent:drain_seconds{$fleet}", "{{worker}}"),
                    Query("agent_budget:drain_timeout_seconds{$fleet}", "longest"),
                ),
                Panel(
                    "Restarts in 15 minutes",
                    "0 is right; 3 are a loop.",
                    (Query("agent:worker_restarts:changes15m{$fleet}", "{{worker}}"),),
                ),
            ),
        ),
    ),
)
