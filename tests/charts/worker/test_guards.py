"""What contradicts itself or the budget is refused: the message names the key, what was given and what would do."""

from __future__ import annotations

from typing import Any

import pytest

from infra.handoff.values import seal
from tests.charts.render import Refused, solved_values, template
from tests.charts.scenarios import Scenario
from tests.charts.worker.rendering import as_it_is, budget, render

DEFAULT, SMALL = Scenario("agent-worker", "default"), {"jobs": 40, "slots": 10, "max_call_seconds": 1800}
INDEXES = {"consumers": {"indexes": {"processes": 1, "connections": 3}}}
TIME, POD, FLEET = budget().time, budget().pod, budget().fleet

NUMBERS: list[tuple[dict[str, Any], str, str]] = [
    ({"replicas": 5}, "replicas is 5", "solved 4 (budget.fleet.max_replicas"),
    ({"scaling": {"by": "hpa", "maxReplicas": 5}}, "scaling.maxReplicas is 5", "solved 4"),
    ({"scaling": {"by": "hpa", "minReplicas": 1}}, "scaling.minReplicas is 1", "solved 2"),
    # Though no scaler would read it.
    ({"scaling": {"maxReplicas": 5}}, "scaling.maxReplicas is 5", "solved 4"),
    ({"scaling": {"minReplicas": 1}}, "scaling.minReplicas is 1", "solved 2"),
    ({"rolling": {"maxSurge": 2}}, "rolling.maxSurge is 2", "solved 1 (budget.fleet.surge"),
    ({"drain": {"preStopSeconds": 6}}, "drain.preStopSeconds is 6", "solved 5"),
    ({"drain": {"timeoutSeconds": 60}}, "drain.timeoutSeconds is 60", f"solved {TIME.drain_timeout_seconds}"),
    (
        {"drain": {"timeoutSeconds": TIME.drain_timeout_seconds + 1}},
        "drain.timeoutSeconds is",
        "accepted is exactly that",
    ),
    (
        {"drain": {"gracePeriodSeconds": TIME.termination_grace_period_seconds - 1}},
        "drain.gracePeriodSeconds is",
        f"solved {TIME.termination_grace_period_seconds}",
    ),
    (
        {"drain": {"progressDeadlineSeconds": 60}},
        "drain.progressDeadlineSeconds is 60",
        f"solved {TIME.progress_deadline_seconds}",
    ),
    ({"resources": {"memoryMiB": 512}}, "resources.memoryMiB is 512", f"solved {POD.memory_mib}"),
    ({"resources": {"cpuMillicores": 100}}, "resources.cpuMillicores is 100", f"solved {POD.cpu_millicores}"),
    ({"resources": {"cpuLimitMillicores": 100}}, "resources.cpuLimitMillicores is 100", "solved"),
    ({"podDisruptionBudget": {"maxUnavailable": 2}}, "podDisruptionBudget.maxUnavailable is 2", "solved 1"),
    ({"quota": {"pods": 100}}, "quota.pods is 100", f"solved {FLEET.quota_pods}"),
    ({"quota": {"enabled": False, "pods": 100}}, "quota.pods is 100", f"solved {FLEET.quota_pods}"),
]

CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"scaling": {"by": "keda"}}, "scaling.keda.serverAddress is empty", "http://"),
    ({"scaling": {"by": "hpa"}, "replicas": 3}, "replicas is 3", "scaling.by is hpa"),
    ({"scaling": {"by": "hpa", "minReplicas": 4, "maxReplicas": 3}}, "scaling.minReplicas is 4", "at most"),
    ({"image": {"repository": ""}}, "image.repository is empty", "docker/agent"),
    ({"image": {"tag": ""}}, "image.tag and image.digest are both empty", "digest"),
    ({"env": {"AGENT_SLOTS": 20}}, "env.AGENT_SLOTS", "the budget's (10"),
    ({"extraEnv": [{"name": "MONGODB_POOL", "value": "100"}]}, "extraEnv.MONGODB_POOL", "the budget's (2"),
    ({"secrets": {"REDIS_POOL": {"existingSecret": "x"}}}, "secrets.REDIS_POOL", "the budget's (2"),
    ({"env": {"AGENT_NAME": "x"}}, "env.AGENT_NAME", "agentName"),
    ({"env": {"PROMETHEUS_MULTIPROC_DIR": "/tmp"}}, "env.PROMETHEUS_MULTIPROC_DIR", "set by this chart"),
    ({"env": {"MONGODB_URL": "mongodb://x"}}, "secrets.MONGODB_URL", "in env too"),
    ({"extraEnv": [{"name": "REDIS_URL", "value": "x"}]}, "REDIS_URL is set in secrets too", "remove one"),
    ({"secrets": {"MONGODB_URL": None}}, "secrets.MONGODB_URL is missing", "existingSecret"),
    ({"secrets": {"LIVEKIT_API_SECRET": None}}, "secrets.LIVEKIT_API_SECRET is missing", "existingSecret"),
    ({"priorityClass": {"create": False}}, "priorityClass.name empty", "PriorityClass"),
]

SCHEMA: list[tuple[dict[str, Any], str]] = [
    ({"replica": 3}, "replica"),
    ({"scaling": {"by": "vpa"}}, "scaling.by"),
    ({"image": {"tag": "latest"}}, "image.tag"),
    ({"image": {"digest": "sha256:abc"}}, "image.digest"),
    ({"drain": {"timeout": 5}}, "timeout"),
    ({"secrets": {"MONGODB_URL": {"value": "mongodb://me:secret@x"}}}, "secrets.MONGODB_URL"),
    ({"resources": {"memoryMiB": "4Gi"}}, "resources.memoryMiB"),
    ({"sidecars": [{"name": "x", "image": "y", "restartPolicy": "Never"}]}, "sidecars"),
]


@pytest.mark.parametrize(
    ("values", "key", "says"), NUMBERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_number_that_is_not_the_budgets_is_refused(values: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert key in str(refused.value)
    assert says in str(refused.value)
    assert budget().digest in str(refused.value)
    assert "make budget" in str(refused.value)


@pytest.mark.parametrize(
    ("values", "key", "says"), CONTRADICTIONS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], key: str, says: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert key in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(("values", "key"), SCHEMA, ids=lambda value: value if isinstance(value, str) else "")
def test_what_the_schema_does_not_know_is_refused(values: dict[str, Any], key: str) -> None:
    with pytest.raises(Refused) as refused:
        render(values)
    assert key.rpartition(".")[2] in str(refused.value)
    assert "values don't meet the specifications of the schema" in str(refused.value)


def test_what_leaves_room_is_accepted() -> None:
    values = {
        "replicas": 3,
        "drain": {"gracePeriodSeconds": 9000, "progressDeadlineSeconds": 9000},
        "resources": {"memoryMiB": 8192, "cpuMillicores": 8000},
    }
    (deployment,) = (item for item in render(values) if item["kind"] == "Deployment")
    assert deployment["spec"]["replicas"] == 3
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 9000


def test_no_budget_no_chart() -> None:
    with pytest.raises(Refused, match="budget is missing: write the values with `make budget"):
        render(stack=None)


def test_a_budget_that_was_edited_is_refused_whatever_was_changed() -> None:
    for change in ({"fleet": {"slots": 20}}, {"digest": "0"}, {"environment": {"MONGODB_POOL": "50"}}):
        with pytest.raises(Refused, match=r"its seal does not match"):
            render({"budget": change})


def test_another_charts_budget_is_refused() -> None:
    with pytest.raises(Refused, match=r"budget\.(fleet|time) is missing: this block is another chart's"):
        render(solved_values("mongodb", DEFAULT.stack), stack=None)


def test_a_budget_that_does_not_fit_is_refused_though_its_seal_is_right() -> None:
    too_much = {"fleet": SMALL, "mongodb": {**INDEXES, "limit": 50}}
    with pytest.raises(Refused, match=r"the budget does not fit \(mongodb: \d+ connections, limit 50\)"):
        template("agent-worker", DEFAULT.values, stack=too_much)


def test_the_seal_is_the_same_in_python_and_in_helm() -> None:
    block = solved_values("agent-worker", DEFAULT.stack)["budget"]
    del block["seal"]
    odd = block | {"warnings": ["ü < ö & ä > 'x' \"y\" \\ / \u2028", "1 500"], "n": 10**15, "f": 0.25}
    render({"budget": odd | {"seal": seal(odd)}}, stack=None)


def test_an_index_job_that_the_budget_does_not_count_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"indexes.enabled is true.*mongodb.consumers.indexes.*processes: 1, connections: 3"
    ):
        render(stack={"fleet": SMALL})
    render({"indexes": {"enabled": False}}, stack={"fleet": SMALL})


def test_strict_rolling_without_its_quota_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"quota.enabled is false, but the budget was solved for strict rolling"
    ):
        render({"quota": {"enabled": False}}, "strict")


def test_a_managed_datastore_whose_place_the_network_policy_does_not_know_is_refused() -> None:
    with pytest.raises(
        Refused, match=r"networkPolicy.datastores.mongodb.to is empty: mongodb is not ours \(plan"
    ):
        render({"networkPolicy": {"datastores": {"mongodb": {"to": []}}}}, "managed")


def test_ports_are_the_budgets_where_nobody_gives_others() -> None:
    render({"networkPolicy": {"datastores": {"mongodb": None}}})
    stack = {"fleet": SMALL, "mongodb": INDEXES, "datastores": {"ledger": {}}}
    places = {"ledger": {"to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]}}
    values = {"secrets": {"LEDGER_URL": {"existingSecret": "x"}}, "networkPolicy": {"datastores": places}}
    with pytest.raises(Refused, match=r"networkPolicy.datastores.ledger.ports is missing"):
        render(values, stack=stack)


def of_an_earlier_version(stack: Any) -> dict[str, Any]:
    """The budget as 0.1.0 wrote it: nothing in it says how a datastore is reached."""
    block: dict[str, Any] = solved_values("agent-worker", stack)["budget"]
    del block["seal"]
    for datastore in block["datastores"].values():
        for key in ("ports", "url_variable", "dialled_by", "part_of"):
            datastore.pop(key, None)
    return {"budget": block | {"seal": seal(block)}}


@pytest.mark.parametrize("scenario", ["default", "everything", "managed"])
def test_a_budget_of_an_earlier_version_is_read(scenario: str) -> None:
    stack = Scenario("agent-worker", scenario).stack
    assert render(of_an_earlier_version(stack), scenario, stack=None) == as_it_is(scenario)


def test_what_an_earlier_version_does_not_say_is_asked_for() -> None:
    routers = {"machines": 6, "workers_per_machine": 1}
    stack = {"fleet": SMALL, "mongodb": INDEXES | {"routers": routers}}
    render(stack=stack)
    with pytest.raises(
        Refused, match=r"mongodb_shards is missing: .* earlier version, .* `make budget STACK"
    ):
        render(of_an_earlier_version(stack), stack=None)


def test_a_further_datastore_needs_its_secret_and_its_place() -> None:
    stack = {"fleet": SMALL, "mongodb": INDEXES, "datastores": {"ledger": {}}}
    with pytest.raises(Refused, match=r"secrets.LEDGER_URL is missing"):
        render(stack=stack)
    with pytest.raises(Refused, match=r"networkPolicy.datastores.ledger is missing"):
        render({"secrets": {"LEDGER_URL": {"existingSecret": "ledger"}}}, stack=stack)
