"""The Secrets whose names charts are told: made from Pulumi config secrets or by External Secrets, or there already."""

from __future__ import annotations

from urllib.parse import quote

import pulumi
import pulumi_kubernetes as kubernetes

from infra.budget.solution import Solution
from infra.config import DeploymentConfig
from infra.datastores import MONGODB, REDIS, url_variables
from infra.stack.components.charts import Place
from infra.stack.components.objects import metadata

CONFIG = "agent-secrets"
"""Pulumi config namespace: `pulumi config set --secret agent-secrets:livekit-api-key`."""


class Secrets(pulumi.ComponentResource):
    """Up to three Secrets in a namespace: the workers', MongoDB's users and Redis's."""

    def __init__(self, name: str, place: Place, namespace: pulumi.Resource) -> None:
        super().__init__(
            "agent-datastores:infra:Secrets", name, None, pulumi.ResourceOptions(parent=namespace)
        )
        self._place = place
        self.resources: list[pulumi.Resource] = []
        names, solution = place.deployment.secrets, place.solution
        if names.source != "existing":
            for secret, keys in wanted(place.deployment, solution).items():
                self.resources.append(
                    self._external(secret, keys) if names.source == "external" else self._made(secret, keys)
                )
        self.register_outputs(
            {"names": [names.worker, names.mongodb, names.redis], "digest": solution.digest}
        )

    def _made(self, secret: str, keys: tuple[str, ...]) -> pulumi.Resource:
        return kubernetes.core.v1.Secret(
            f"{self._place.namespace}-{secret}",
            metadata=metadata(self._place, secret),
            string_data={key: self._value(secret, key) for key in keys},
            opts=pulumi.ResourceOptions(parent=self, provider=self._place.provider),
        )

    def _value(self, secret: str, key: str) -> pulumi.Output[str]:
        names, datastores = self._place.deployment.secrets, self._place.solution.datastores
        if secret == names.mongodb:
            return required(f"mongodb-{key}")
        if secret == names.redis:
            return required(f"redis-{key}")
        namespace = self._place.namespace
        if key == MONGODB.url_variable and datastores[MONGODB.name].server:
            host = f"mongodb.{namespace}.svc:{MONGODB.ports[0]}"
            return _url(
                "mongodb://app:", "mongodb-app-password", f"@{host}/{self._database()}?authSource=admin"
            )
        if key == REDIS.url_variable and datastores[REDIS.name].server:
            host = f"redis.{namespace}.svc:{REDIS.ports[0]}"
            return _url("redis://app:", "redis-app-password", f"@{host}/0")
        return required(key.lower().replace("_", "-"))

    def _database(self) -> str:
        """The one on which charts/mongodb gives that user its rights; `agent` is the chart's default."""
        values = self._place.deployment.values.get("mongodb", {})
        return quote(str(values.get("auth", {}).get("database", "agent")), safe="")

    def _external(self, secret: str, keys: tuple[str, ...]) -> pulumi.Resource:
        names = self._place.deployment.secrets
        remote = f"{self._place.namespace}/{secret}"
        data = [{"secretKey": key, "remoteRef": {"key": remote, "property": key}} for key in keys]
        return kubernetes.apiextensions.CustomResource(
            f"{self._place.namespace}-{secret}",
            api_version="external-secrets.io/v1",
            kind="ExternalSecret",
            metadata=metadata(self._place, secret),
            spec={
                "refreshInterval": "1h",
                "secretStoreRef": {"name": names.store, "kind": names.store_kind},
                "target": {"name": secret},
                "data": data,
            },
            opts=pulumi.ResourceOptions(parent=self, provider=self._place.provider),
        )


def wanted(deployment: DeploymentConfig, solution: Solution) -> dict[str, tuple[str, ...]]:
    """Each Secret of a namespace by its name, and which keys it holds."""
    names, datastores = deployment.secrets, solution.datastores
    found = {names.worker: of_the_workers(solution)}
    users = ("app-password", "operator-password")
    if datastores[MONGODB.name].server:
        found[names.mongodb] = users
    if datastores[REDIS.name].server:
        found[names.redis] = users
    return found


def of_the_workers(solution: Solution) -> tuple[str, ...]:
    """The keys of the workers' Secret, which are their variables."""
    return (*url_variables(solution.datastores), "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


def required(key: str) -> pulumi.Output[str]:
    """A Pulumi config secret. Raises pulumi.RunError, naming the command that sets it."""
    value = pulumi.Config(CONFIG).get_secret(key)
    if value is None:
        raise pulumi.RunError(
            f"{CONFIG}:{key}: missing; set it with `pulumi config set --secret {CONFIG}:{key}`, or name Secrets that "
            "are there already (deployment.secrets.source: existing)"
        )
    return value


def _url(before: str, password: str, after: str) -> pulumi.Output[str]:
    return required(password).apply(lambda text: f"{before}{quote(text, safe='')}{after}")
