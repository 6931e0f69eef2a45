"""The part of the stack config that Pulumi alone reads: which cluster, which names, which images, whose secrets.

Nothing here changes a number of the budget, and nothing here is a secret: those are named, never written.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from infra.config.section import Section, refuse

ChartName = Literal["agent-worker", "mongodb", "redis", "livekit", "monitoring"]

# A namespace is a DNS label of 63; cells add a number to it, and the other names made from it a suffix.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]

ACCEPTED = {
    "context": "a context of the kubeconfig",
    "digest": "sha256: and 64 hexadecimal digits",
    "enabled": "true or false",
    "labels": "a mapping of label names to text",
    "livekit_url": "ws:// or wss:// and an address",
    "monitoring": "true or false",
    "namespace": "lower-case letters, digits and -, beginning with a letter, at most 40 long",
    "operators": "a mapping of names, each with chart, repository (unless chart is a folder), version and namespace",
    "values": "a mapping of agent-worker, mongodb, redis, livekit, monitoring, each a mapping",
}
"""What may stand where no range and no list of words says it."""


class ImageConfig(Section):
    """The image of the agent, which is yours."""

    repository: str = Field(
        default="agent-datastores/agent",
        min_length=1,
        max_length=255,
        description="Without registry and tag.",
    )
    tag: str = Field(default="", max_length=128, description="Tag; for people, when a digest is given too.")
    digest: Digest | None = Field(default=None, description="sha256:…, wins over the tag.")


class SecretsConfig(Section):
    """Where passwords and keys come from; charts are given names of Secrets only."""

    source: Literal["config", "existing", "external"] = Field(
        default="config",
        description="config: Pulumi config secrets (agent-secrets:…), from which Secrets are made. existing: Secrets "
        "that are in the namespace already. external: External Secrets, from a store of yours.",
    )
    worker: SecretName = Field(default="agent-worker", description="Secret of the workers.")
    mongodb: SecretName = Field(default="mongodb-users", description="Secret of a MongoDB of our own.")
    redis: SecretName = Field(default="redis-users", description="Secret of a Redis of our own.")
    store: SecretName | None = Field(default=None, description="external: name of the store.")
    store_kind: Literal["SecretStore", "ClusterSecretStore"] = Field(
        default="ClusterSecretStore", description="external: its kind."
    )

    @field_validator("store")
    @classmethod
    def _external_only(cls, store: str | None, info: Any) -> str | None:
        if store is not None and info.data.get("source") != "external":
            raise refuse("no such key unless source is external")
        return store


class WatcherConfig(Section):
    """Who places the agent again in calls whose job died. It opens no datastore: the budget counts nothing for it."""

    enabled: bool = Field(
        default=False,
        description="Have one. It uses the API key of the workers' Secret, and LiveKit's keys are never narrower than "
        "this: it may join, end and record every room of the project.",
    )
    replicas: int = Field(
        default=1,
        ge=1,
        le=5,
        description="Watchers; two place one agent. Each asks LiveKit twice a room and second.",
    )
    wait_seconds: int = Field(
        default=60, ge=1, le=600, description="How long a free slot is asked for where every worker is full."
    )


class OperatorConfig(Section):
    """A third-party operator's chart, with its definitions."""

    chart: str = Field(
        min_length=1, max_length=255, description="Name of the chart; or its folder, beginning with . or /."
    )
    repository: str | None = Field(
        default=None,
        validate_default=True,
        pattern=r"^(https|oci)://\S+$",
        max_length=255,
        description="Where charts are; none beside a folder.",
    )
    version: str = Field(min_length=1, max_length=64, description="Exact version of the chart.")
    namespace: Name = Field(description="Of the operator; made for it.")

    @field_validator("repository")
    @classmethod
    def _of_a_name(cls, repository: str | None, info: Any) -> str | None:
        folder = info.data.get("chart", "").startswith((".", "/"))
        if repository is None and not folder:
            raise refuse(
                "https:// or oci:// and an address, or a chart that is a folder, beginning with . or /"
            )
        if repository is not None and folder:
            raise refuse("no such key beside a chart that is a folder")
        return repository


class DeploymentConfig(Section):
    """Where a stack lives, and what is put there."""

    context: str | None = Field(default=None, min_length=1, max_length=255, description="kubeconfig context.")
    namespace: Name = Field(description="Of the stack; cells add -1, -2, …")
    labels: dict[str, str] = Field(default_factory=dict, description="Put on every object.")
    image_registry: str = Field(default="", max_length=255, description="Instead of each image's own.")
    image: ImageConfig = Field(default_factory=ImageConfig, description="The agent's image.")
    secrets: SecretsConfig = Field(default_factory=SecretsConfig, description="Where secrets come from.")
    livekit: Literal["development", "external"] = Field(
        default="external",
        description="development: one server in the cluster. external: yours, by livekit_url.",
    )
    livekit_url: str | None = Field(
        default=None, pattern=r"^wss?://\S+$", max_length=255, description="external: where workers register."
    )
    monitoring: bool = Field(default=False, description="Dashboards and alerts.")
    watcher: WatcherConfig = Field(
        default_factory=WatcherConfig, description="Who places the agent again in calls whose job died."
    )
    operators: dict[Name, OperatorConfig] = Field(
        default_factory=dict, description="Third-party operators to install first, each once a cluster."
    )
    data: Literal["keep", "delete"] = Field(
        default="keep",
        description="What pulumi destroy does with the namespaces and the volumes in them. To lose the data: delete, "
        "pulumi up, pulumi destroy.",
    )
    values: dict[ChartName, dict[str, Any]] = Field(
        default_factory=dict,
        description="Further values of a chart, over ours; figures of the budget cannot be given here.",
    )

    @field_validator("livekit_url")
    @classmethod
    def _external_only(cls, url: str | None, info: Any) -> str | None:
        if url is not None and info.data.get("livekit") == "development":
            raise refuse("no such key beside livekit: development")
        return url

    @field_validator("values")
    @classmethod
    def _no_budget(cls, values: dict[ChartName, dict[str, Any]]) -> dict[ChartName, dict[str, Any]]:
        for chart, own in values.items():
            if "budget" in own:
                raise refuse(f"values of {chart} without budget: that block is solved, not written")
        quota = values.get("agent-worker", {}).get("quota", {})
        if isinstance(quota, dict) and quota.get("enabled") is False:
            raise refuse(
                "values of agent-worker without quota.enabled: false, the last line before the databases"
            )
        return values
