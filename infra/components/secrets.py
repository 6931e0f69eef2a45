"""The Secrets whose names charts are told: made from Pulumi config secrets or by External Secrets, or there already."""

from __future__ import annotations

from urllib.parse import quote

import pulumi
import pulumi_kubernetes as kubernetes

from infra.components.charts import Place

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
            for secret, keys in self._wanted().items():
                self.resources.append(
                    self._external(secret, keys) if names.source == "external" else self._made(secret, keys)
                )
        self.register_outputs(
            {"names": [names.worker, names.mongodb, names.redis], "digest": solution.digest}
        )

    def _wanted(self) -> dict[str, tuple[str, ...]]:
        """Which keys each Secret holds."""
        names, datastores = self._place.deployment.secrets, self._place.solution.datastores
        urls = tuple(f"{name.upper()}_URL" for name in datastores if name != "redis_sentinel")
        wanted = {names.worker: (*urls, "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")}
        users = ("app-password", "operator-password")
        if datastores["mongodb"].server:
            wanted[names.mongodb] = users
        if datastores["redis"].server:
            wanted[names.redis] = users
        return wanted

    def _made(self, secret: str, keys: tuple[str, ...]) -> pulumi.Resource:
        return kubernetes.core.v1.Secret(
            f"{self._place.namespace}-{secret}",
            metadata={
                "name": secret,
                "namespace": self._place.namespace,
                "labels": dict(self._place.deployment.labels),
            },
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
        if key == "MONGODB_URL" and datastores["mongodb"].server:
            host = f"mongodb.{namespace}.svc:27017"
            return _url("mongodb://app:", "mongodb-app-password", f"@{host}/agent?authSource=admin")
        if key == "REDIS_URL" and datastores["redis"].server:
            return _url("redis://app:", "redis-app-password", f"@redis.{namespace}.svc:6379/0")
        return required(key.lower().replace("_", "-"))

    def _external(self, secret: str, keys: tuple[str, ...]) -> pulumi.Resource:
        names = self._place.deployment.secrets
        remote = f"{self._place.namespace}/{secret}"
        data = [{"secretKey": key, "remoteRef": {"key": remote, "property": key}} for key in keys]
        return kubernetes.apiextensions.CustomResource(
            f"{self._place.namespace}-{secret}",
            api_version="external-secrets.io/v1",
            kind="ExternalSecret",
            metadata={
                "name": secret,
                "namespace": self._place.namespace,
                "labels": dict(self._place.deployment.labels),
            },
            spec={
                "refreshInterval": "1h",
                "secretStoreRef": {"name": names.store, "kind": names.store_kind},
                "target": {"name": secret},
                "data": data,
            },
            opts=pulumi.ResourceOptions(parent=self, provider=self._place.provider),
        )


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
