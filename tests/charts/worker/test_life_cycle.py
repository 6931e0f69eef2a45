"""A worker's start, health, end, and how one fleet replaces another."""

from __future__ import annotations

from infra.local.worker import AGENT, COMMAND, INDEXES
from tests.charts.worker.rendering import as_it_is, budget, one, pod, render, rendered, worker


def test_a_stopped_worker_has_time_for_its_calls() -> None:
    spec, time = pod(as_it_is()), budget().time
    config = one(as_it_is(), "ConfigMap")["data"]
    assert config["AGENT_DRAIN_TIMEOUT_SECONDS"] == str(time.drain_timeout_seconds)
    assert spec["terminationGracePeriodSeconds"] > time.pre_stop_seconds + time.drain_timeout_seconds


def test_a_worker_is_started_as_on_this_machine() -> None:
    # By the command that the integration tests run: an argument that LiveKit does not know ends the process.
    assert ["-m", *worker(as_it_is())["args"]] == [*COMMAND[1:], str(AGENT)]
    (indexes,) = one(as_it_is(), "Job")["spec"]["template"]["spec"]["containers"]
    assert ["-m", *indexes["args"]] == INDEXES[1:]


def test_ready_is_registered_and_not_draining_while_alive_is_whether_it_answers() -> None:
    container = worker(as_it_is())
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/live"
    assert container["startupProbe"]["httpGet"]["path"] == "/live"
    assert {probe["httpGet"]["port"] for name, probe in container.items() if name.endswith("Probe")} == {
        "http"
    }


def test_a_worker_that_hangs_is_not_given_the_time_of_one_that_drains() -> None:
    probe = worker(as_it_is())["livenessProbe"]
    assert probe["terminationGracePeriodSeconds"] == budget().time.job_end_seconds


def test_no_pre_stop_where_the_budget_has_none() -> None:
    stack = {
        "fleet": {"jobs": 8, "slots": 4, "max_call_seconds": 60, "pre_stop_seconds": 0},
        "mongodb": {"consumers": {"indexes": {"processes": 1, "connections": 3}}},
    }
    assert "lifecycle" not in worker(render(stack=stack))
    assert worker(as_it_is())["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}


def test_a_worker_goes_when_its_successor_is_there() -> None:
    for scenario in ("default", "strict"):
        assert one(as_it_is(scenario), "Deployment")["spec"]["strategy"] == {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": budget(scenario).fleet.surge, "maxUnavailable": 0},
        }


def test_the_quota_knows_the_workers_and_nobody_else() -> None:
    objects = as_it_is("strict")
    quota, priority = one(objects, "ResourceQuota")["spec"], one(objects, "PriorityClass")
    assert quota["hard"] == {"pods": str(budget("strict").fleet.workers_at_peak)}
    assert quota["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": [priority["metadata"]["name"]]}
    ]
    assert pod(objects)["priorityClassName"] == priority["metadata"]["name"]
    assert "priorityClassName" not in one(objects, "Job")["spec"]["template"]["spec"]


def test_two_releases_in_two_namespaces_have_two_priority_classes() -> None:
    assert one(as_it_is(), "PriorityClass")["metadata"]["name"] == "agents-test-agent-worker"


def test_somebody_elses_priority_class_is_used_and_not_made() -> None:
    objects = render({"priorityClass": {"create": False, "name": "voice"}})
    assert pod(objects)["priorityClassName"] == "voice"
    assert not [item for item in objects if item["kind"] == "PriorityClass"]


def test_evictions_take_workers_and_never_the_index_job() -> None:
    disruption = one(as_it_is(), "PodDisruptionBudget")["spec"]
    labels = one(as_it_is(), "Job")["spec"]["template"]["metadata"]["labels"]
    workers = one(as_it_is(), "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert disruption["selector"]["matchLabels"].items() <= workers.items()
    assert not disruption["selector"]["matchLabels"].items() <= labels.items()
    assert disruption["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_autoscalers_of_nodes_leave_workers_alone_unless_told_otherwise() -> None:
    def annotations(**values: object) -> dict[str, str]:
        found: dict[str, str] = rendered("Deployment", values)["spec"]["template"]["metadata"]["annotations"]
        return found

    assert annotations()["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations()["karpenter.sh/do-not-disrupt"] == "true"
    assert "karpenter.sh/do-not-disrupt" not in annotations(nodeLifecycle={"protect": False})


def test_workers_spread_over_nodes_each_rollout_by_itself_and_over_zones_where_nodes_have_any() -> None:
    spec = pod(as_it_is())
    (constraint,) = spec["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"
    assert constraint["matchLabelKeys"] == ["pod-template-hash"]
    # Beside it as a constraint, the zone would switch it off on nodes without that label.
    (term,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    assert pod(render({"affinity": {}}))["affinity"] == {}


def test_sidecars_end_after_the_worker_has_drained() -> None:
    sidecar = {"name": "proxy", "image": "proxy:1"}
    spec = pod(render({"sidecars": [sidecar], "extraInitContainers": [{"name": "warm", "image": "warm:1"}]}))
    warm, proxy = spec["initContainers"]
    assert proxy["restartPolicy"] == "Always"
    assert "restartPolicy" not in warm
    assert [container["name"] for container in spec["containers"]] == ["worker"]
