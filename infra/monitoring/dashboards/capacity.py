"""Capacity: how many more calls fit, for how long at this growth, and what a larger plan would take."""

from __future__ import annotations

from infra.monitoring.dashboards.panel import Dashboard, Panel, Query, Row

CAPACITY = Dashboard(
    name="agent-capacity",
    title="Agents: capacity",
    description="How many more calls fit: into today's slots, into the promise, into the datastores' limits.",
    rows=(
        Row(
            "Calls",
            (
                Panel(
                    "The busiest moment of the last day, and what there is",
                    "Running, its peak within a day, the promise, and what the limit of each datastore would take.",
                    (
                        Query("agent:jobs_running{$fleet}", "running"),
                        Query("agent:jobs_running:max1d{$fleet}", "peak of a day"),
                        Query("agent_budget:jobs{$fleet}", "promised"),
                        Query('agent_budget:jobs_fit{$fleet,plan="today"}', "{{datastore}} would take"),
                    ),
                    limits=("promised", "{{datastore}} would take"),
                ),
                Panel(
                    "How many more fit",
                    "Now: free slots of serving workers. Then the busiest moment of a day against promise and limits.",
                    (
                        Query("agent:slots_free{$fleet}", "now, into free slots"),
                        Query(
                            "agent_budget:jobs{$fleet} - on (fleet) agent:jobs_running:max1d{$fleet}",
                            "at the peak, into the promise",
                        ),
                        Query(
                            'agent_budget:jobs_fit{$fleet,plan="today"} - on (fleet) group_left () '
                            "agent:jobs_running:max1d{$fleet}",
                            "at the peak, into {{datastore}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Growth",
            (
                Panel(
                    "Days until the peak meets the promise, and a limit",
                    "If the daily peak grows on as in the last 7 days. 3650 stands for: it does not grow.",
                    (
                        Query("agent:days_to_the_promise{$fleet}", "the promise"),
                        Query("agent:days_to_the_limit{$fleet}", "limit of {{datastore}}"),
                    ),
                    unit="d",
                ),
                Panel(
                    "Calls at once that a plan would take",
                    "Solved: the stack as it is, with this datastore on that plan. The least of them counts.",
                    (Query("agent_budget:jobs_fit{$fleet}", "{{datastore}} {{plan}}"),),
                ),
            ),
        ),
        Row(
            "Use",
            (
                Panel(
                    "Share of the limit that is used, per node",
                    "By the server's count. Near 1 calls fail at their start.",
                    (
                        Query(
                            "agent:server_connections{$fleet} / on (fleet, datastore) group_left () "
                            "agent_budget:connections_limit{$fleet}",
                            "{{datastore}} {{node}}",
                        ),
                    ),
                    unit="percentunit",
                ),
                Panel(
                    "Share of the slots that is taken",
                    "Of serving workers. At 1 the next call is refused.",
                    (
                        Query(
                            "agent:jobs_running{$fleet} / on (fleet) (agent:slots{$fleet} > 0)",
                            "slots taken",
                        ),
                    ),
                    unit="percentunit",
                ),
            ),
        ),
    ),
)
