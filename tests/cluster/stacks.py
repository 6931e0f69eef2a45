"""What scenarios change of infra/Pulumi.kind.yaml, by dotted keys."""

from __future__ import annotations

# Calls outlast two rollouts.
MAX_CALL_SECONDS = 240
FAST: dict[str, object] = {"fleet.max_call_seconds": MAX_CALL_SECONDS}
STRICT = FAST | {"fleet.rolling": {"mode": "strict", "surge": 1, "failure_spare": 1}}
