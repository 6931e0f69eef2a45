"""The watcher: off unless asked for, restricted, with LiveKit's key and no datastore's."""

from __future__ import annotations

import pytest

from tests.charts.render import Object
from tests.charts.worker.rendering import as_it_is, render


def deployments(objects: list[Object]) -> dict[str, Object]:
    found = [item for item in objects if item["kind"] == "Deployment"]
    return {item["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]: item for item in found}


def test_it_is_off_unless_asked_for() -> None:
    assert set(deployments(as_it_is())) == {"worker"}
    assert set(deployments(as_it_is("watcher"))) == {"worker", "watcher"}


def test_it_gets_livekits_variables_and_no_others() -> None:
    template = deployments(as_it_is("watcher"))["watcher"]["spec"]["template"]
    (container,) = template["spec"]["containers"]
    names = {item["name"] for item in container["env"]}
    livekit = {"LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"}
    assert names == {"AGENT_NAME", "AGENT_TAKEOVER_WAIT_SECONDS", *livekit}
    assert "envFrom" not in container
    assert container["args"] == ["agent.runtime.watch"]


def test_an_address_in_plain_reaches_it_and_further_variables_of_workers_do_not() -> None:
    """`pulumi up` gives LIVEKIT_URL so; what a worker is given besides may be a datastore's."""
    own = {"name": "DB_URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}
    values = {"env": {"LIVEKIT_URL": "wss://example.livekit.cloud"}, "secrets": {"LIVEKIT_URL": None}}
    found = deployments(render(values | {"extraEnv": [own]}, scenario="watcher"))
    (container,) = found["watcher"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "LIVEKIT_URL", "value": "wss://example.livekit.cloud"} in container["env"]
    assert len([one for one in container["env"] if one["name"] == "LIVEKIT_URL"]) == 1
    assert "DB_URL" not in [one["name"] for one in container["env"]]
    assert own in found["worker"]["spec"]["template"]["spec"]["containers"][0]["env"]


def policies(objects: list[Object]) -> dict[str, Object]:
    """By the application whose pods they select."""
    found = [item["spec"] for item in objects if item["kind"] == "NetworkPolicy"]
    return {one["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: one for one in found}


def test_its_policy_lets_it_reach_livekit_and_names_alone_and_nobody_reach_it() -> None:
    livekit = {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "tcpPorts": [443]}
    objects = render({"networkPolicy": {"livekit": livekit}}, scenario="watcher")
    labels = deployments(objects)["watcher"]["spec"]["template"]["metadata"]["labels"]
    policy = policies(objects)["agent-watcher"]
    assert policy["podSelector"]["matchLabels"].items() <= labels.items()
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in policy
    ports = [[port["port"] for port in rule["ports"]] for rule in policy["egress"]]
    assert ports == [[443], [53, 53]]
    assert policy["egress"][0]["to"] == livekit["to"]


def test_workers_policies_do_not_open_it_a_door() -> None:
    """Policies add up: another one that selects it would let it reach the databases."""
    objects = as_it_is("watcher")
    labels = deployments(objects)["watcher"]["spec"]["template"]["metadata"]["labels"]
    selecting = [
        name
        for name, one in policies(objects).items()
        if one["podSelector"]["matchLabels"].items() <= labels.items()
    ]
    assert selecting == ["agent-watcher"]
    assert labels["app.kubernetes.io/name"] != "agent-worker", "whom charts/mongodb and charts/redis let in"


def test_it_is_restricted_outside_the_quota_and_ends_what_it_began() -> None:
    spec = deployments(as_it_is("watcher"))["watcher"]["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True
    assert "priorityClassName" not in spec, "by which the quota knows the workers"
    assert spec["terminationGracePeriodSeconds"] > 45


def test_workers_do_not_select_it() -> None:
    found = deployments(as_it_is("watcher"))
    selector = found["worker"]["spec"]["selector"]["matchLabels"]
    labels = found["watcher"]["spec"]["template"]["metadata"]["labels"]
    assert not selector.items() <= labels.items()


def test_without_a_name_there_is_nothing_to_watch() -> None:
    with pytest.raises(Exception, match=r"watcher\.enabled: .* set agentName, which is empty"):
        render({"agentName": ""}, scenario="watcher")
