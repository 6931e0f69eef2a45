"""The RedisReplication has no key that the operator does not know.

No package that could be had carries the operator's CRD, so the keys are named here, as config/crd/bases of
OT-CONTAINER-KIT/redis-operator 0.26.0 has them (v1beta2, read in November 2026; the rendered resource was validated
against that file once). A key that is not here is looked up there first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charts.datastores.scenarios import Scenario

SECURITY = {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"}
POD_SECURITY = {"fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsNonRoot", "runAsUser", "seccompProfile"}
KNOWN: dict[str, set[str]] = {
    "": {
        "TLS",
        "acl",
        "clusterSize",
        "kubernetesConfig",
        "nodeSelector",
        "pdb",
        "podSecurityContext",
        "priorityClassName",
        "redisConfig",
        "redisExporter",
        "securityContext",
        "sentinel",
        "storage",
        "terminationGracePeriodSeconds",
        "tolerations",
    },
    "TLS": {"ca", "cert", "key", "secret"},
    "acl": {"persistentVolumeClaim", "secret"},
    "kubernetesConfig": {"image", "imagePullPolicy", "imagePullSecrets", "redisSecret", "resources"},
    "kubernetesConfig.redisSecret": {"key", "name"},
    "pdb": {"enabled", "maxUnavailable", "minAvailable"},
    "podSecurityContext": POD_SECURITY,
    "redisConfig": {"additionalRedisConfig", "dynamicConfig", "maxMemoryPercentOfLimit"},
    "redisExporter": {"enabled", "image", "imagePullPolicy", "resources", "securityContext"},
    "redisExporter.securityContext": SECURITY,
    "securityContext": SECURITY,
    "sentinel": {"image", "podSecurityContext", "redisSecret", "resources", "securityContext", "size"},
    "sentinel.podSecurityContext": POD_SECURITY,
    "sentinel.redisSecret": {"key", "name"},
    "sentinel.securityContext": SECURITY,
    "storage": {"keepAfterDelete", "volumeClaimTemplate", "volumeMount"},
}


def unknown(spec: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, inner in spec.items():
        here = f"{path}.{key}".lstrip(".")
        if key not in KNOWN[path]:
            yield here
        elif isinstance(inner, dict) and here in KNOWN:
            yield from unknown(inner, here)


@pytest.mark.parametrize(
    "values", [{}, {"tls": {"enabled": False}, "exporter": {"enabled": False}}], ids=["all", "less"]
)
def test_no_key_is_unknown_to_the_operator(values: dict[str, Any]) -> None:
    resource = Scenario("redis", "operator").one("RedisReplication", **values)
    assert resource["apiVersion"] == "redis.redis.opstreelabs.in/v1beta2"
    assert list(unknown(resource["spec"])) == []
    assert isinstance(resource["spec"]["clusterSize"], int)
    assert isinstance(resource["spec"]["sentinel"]["size"], int)
