"""What scenarios change of infra/Pulumi.kind.yaml, by dotted keys."""

from __future__ import annotations

# Calls outlast two rollouts.
FAST: dict[str, object] = {"fleet.max_call_seconds": 240}
STRICT = FAST | {"fleet.rolling": {"mode": "strict", "surge": 1, "failure_spare": 1}}
