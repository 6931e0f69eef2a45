"""Connections: what the budget grants, what workers say they hold, what servers count, and where the three differ."""

from __future__ import annotations

from infra.monitoring.dashboards.panel import Dashboard, Panel, Query, Row

BY_DATASTORE = "sum by (fleet, datastore)"

CONNECTIONS = Dashboard(
    name="agent-connections",
    title="Agents: connections",
    description="Connections against the budget: granted, held by workers, counted by servers, and the drift.",
    rows=(
        Row(
            "Workers' side, against the budget",
            (
                Panel(
                    "Held against what is granted to the workers that are there",
                    "On all nodes. Dashed: the share of these workers, and of the peak's, with every slot taken.",
                    (
                        Query(f"{BY_DATASTORE} (agent:client_connections{{$fleet}})", "{{datastore}} held"),
                        Query(
                            f"{BY_DATASTORE} (agent_datastore_connections_budget{{$fleet}})",
                            "{{datastore}} granted",
                        ),
                        Query("agent_budget:connections_fleet{$fleet}", "{{datastore}} at the peak"),
                    ),
                    limits=("{{datastore}} granted", "{{datastore}} at the peak"),
                ),
                Panel(
                    "Held by workers and their jobs",
                    "By use. Monitoring sockets are the driver's own; they carry no operations and count all the same.",
                    (Query("agent:client_connections{$fleet}", "{{datastore}} {{state}}"),),
                    stacked=True,
                ),
            ),
        ),
        Row(
            "Servers' side, against the budget",
            (
                Panel(
                    "Connections of each node, by the server's count",
                    "Must stay below the dashed lines: what everyone in the budget holds at most, then the limit.",
                    (
                        Query("agent:server_connections{$fleet}", "{{datastore}} {{node}}"),
                        Query(
                            "agent_budget:connections_warning_above{$fleet}", "{{datastore}} in the budget"
                        ),
                        Query("agent_budget:connections_limit{$fleet}", "{{datastore}} limit"),
                    ),
                    limits=("{{datastore}} in the budget", "{{datastore}} limit"),
                ),
                Panel(
                    "Head-room of each node",
                    "Connections that the limit leaves now. Below the reserve: someone is not in the budget.",
                    (
                        Query(
                            "agent_budget:connections_limit{$fleet} - on (fleet, datastore) group_right () "
                            "agent:server_connections{$fleet}",
                            "{{datastore}} {{node}}",
                        ),
                    ),
                ),
            ),
        ),
        Row(
            "Drift",
            (
                Panel(
                    "On the servers beside the fleet",
                    "Server's count less workers' gauges. Above the line: a leak or a stranger. Below 0: a ghost.",
                    (
                        Query(
                            "agent:server_connections_beside_the_fleet{$fleet}",
                            "{{datastore}} beside the fleet",
                        ),
                        Query(
                            "agent_budget:connections_others{$fleet}", "{{datastore}} others in the budget"
                        ),
                    ),
                    limits=("{{datastore}} others in the budget",),
                ),
                Panel(
                    "Workers, terminating ones included",
                    "In a rollout the draining ones stand beside the fleet. The budget paid for the dashed line.",
                    (
                        Query("agent:workers{$fleet}", "{{state}}"),
                        Query("agent_budget:workers_at_peak{$fleet}", "paid for"),
                    ),
                    limits=("paid for",),
                ),
            ),
        ),
        Row(
            "Pools and servers",
            (
                Panel(
                    "Waiting for a connection of the pool, 95th percentile",
                    "Milliseconds are right. If it grows, the pool is small for what a call does at once.",
                    (Query("agent:checkout_seconds:p95_5m{$fleet}", "{{datastore}}"),),
                    unit="s",
                ),
                Panel(
                    "Refused by servers in 5 minutes",
                    "0 is right: a limit was reached otherwise. Redis counts it; mongod from 6.3 on.",
                    (Query("agent:server_refusals:increase5m{$fleet}", "{{datastore}} {{node}}"),),
                ),
            ),
        ),
    ),
)
