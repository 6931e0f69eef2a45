"""Two doors, one budget: what the config accepts, the policy accepts; what the policy refuses, the config refuses."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from infra.budget import digest, solve
from infra.config import parse_config
from tests.infra.stack import KIND, changed, rendered
from tests.infra.test_policy import refusals
from tests.unit.budget_cases import Values, arranged_values

# Each example runs the program and renders its charts: too slow to shrink, so the same few every time. More and others,
# when this changes: `max_examples=200, derandomize=False`.
FEW = settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
COUNTED = {"probes": {"processes": 1, "connections": 1}, "indexes": {"processes": 1, "connections": 300}}
SOMEWHERE = [{"ipBlock": {"cidr": "10.1.0.0/16"}}]


def deployable(values: Values) -> dict[str, Any]:
    """A random stack as one that has everything a deployment needs; assumed to fit."""
    stack: dict[str, Any] = {key: dict(section) for key, section in values.items()}
    for name in ("mongodb", "redis"):
        stack[name]["consumers"] = COUNTED | stack[name].get("consumers", {})
        stack[name]["consumers"]["probes"] = COUNTED["probes"]
    stack["mongodb"]["consumers"]["indexes"] = COUNTED["indexes"]
    # A server of ours is one; Sentinels watch somebody else's. Most limits that are drawn are too small to go on with.
    if not {"plan", "limit", "routers"} & set(stack["mongodb"]):
        stack["mongodb"]["nodes"] = 1
    for name in ("mongodb", "redis"):
        if "limit" in stack[name] or stack[name].get("sentinels"):
            stack[name]["limit"] = 1_000_000
    assume(solve(parse_config(stack, "random")).fits)
    places: dict[str, Any] = {name: {"to": SOMEWHERE} for name in ("mongodb", "redis")}
    places |= {name: {"to": SOMEWHERE, "ports": [8000]} for name in stack.get("datastores", {})}
    worker = {"networkPolicy": {"datastores": places}}
    return stack | {"deployment": KIND["deployment"] | {"values": {"agent-worker": worker}}}


SECRETS = {
    f"agent-secrets:{key}": "x"
    for key in (
        *("livekit-api-key", "livekit-api-secret"),
        *(f"{name}-url" for name in ("mongodb", "redis", "weaviate", "elasticsearch", "postgresql")),
        *(
            "mongodb-app-password",
            "mongodb-operator-password",
            "redis-app-password",
            "redis-operator-password",
        ),
    )
}


@pytest.mark.timeout(600)
@FEW
@given(arranged_values(), arranged_values())
def test_a_stack_that_fits_passes_the_policy_and_no_other_stacks_objects_do(
    one: Values, other: Values
) -> None:
    stack = deployable(one)
    items = rendered(stack, secrets=SECRETS)
    assert refusals(stack, items) == []
    another = {**other, "deployment": stack["deployment"]}
    if digest(parse_config(another, "other")) != digest(parse_config(stack, "one")):
        assert refusals(another, items)


KEYS = (
    "replicas",
    "rolling.maxSurge",
    "drain.preStopSeconds",
    "drain.timeoutSeconds",
    "drain.gracePeriodSeconds",
    "drain.progressDeadlineSeconds",
    "resources.memoryMiB",
    "podDisruptionBudget.maxUnavailable",
    "quota.pods",
    "quota.enabled",
)


@pytest.mark.timeout(600)
@FEW
@given(st.sampled_from(KEYS), st.one_of(st.integers(0, 6), st.sampled_from([30, 443, 500, 5000])))
def test_what_the_policy_would_refuse_the_config_refuses_first(key: str, number: int) -> None:
    value = bool(number % 2) if key == "quota.enabled" else number
    stack = changed({f"deployment.values.agent-worker.{key}": value})
    try:
        items = rendered(stack)
    except pulumi.RunError:
        return
    assert refusals(stack, items) == []
