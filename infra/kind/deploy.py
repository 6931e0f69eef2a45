"""The stack on the kind cluster, by `pulumi up` of Pulumi.kind.yaml, as a reader of infra/README.md would run it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from infra.config import ConfigError
from infra.config.stackfile import read_stack_file
from infra.kind.cluster import NAME, Cluster
from infra.kind.errors import KindError
from infra.kind.installed import STACK, server_values
from infra.kind.pulumi_stack import PROGRAM, PulumiStack
from infra.stack.components.charts import merged
from infra.supply.choice import Supply
from infra.supply.images import AGENT, Images
from infra.supply.places import cache_directory

STACK_NAME = "kind-cluster"
WORKER_SECRET = "agent-worker"  # noqa: S105  # a Secret's name


def directory() -> Path:
    """State, passphrase and config of the stack, beside the cluster's credentials. Goes with the cluster."""
    return cache_directory() / "kind" / f"{NAME}.pulumi"


def deploy(cluster: Cluster, images: Images, supply: Supply) -> PulumiStack:
    """`pulumi up`, shown while it runs; returns the stack, for its outputs. A second run changes nothing.

    Raises KindError, BuildError.
    """
    stack = kind_stack(cluster, supply)
    stack.configure(kind_values(images))
    answer = stack.up(show=True)
    if answer.status != 0:
        raise KindError(f"pulumi up: exit status {answer.status}, for what it says above")
    return stack


def kind_values(images: Images) -> dict[str, Any]:
    """The config of the stack file, with the images as they were built here. Raises KindError."""
    try:
        values, problems = read_stack_file(STACK)
    except ConfigError as error:
        raise KindError(str(error)) from None
    if problems:
        raise KindError("\n  ".join(str(one) for one in problems))
    deployment = {
        "image": {"repository": AGENT, "tag": images.tags[AGENT]},
        "values": server_values(images),
    }
    return merged(values, {"deployment": deployment})


def forget() -> None:
    """The cluster is gone, and with it all that the state knows."""
    shutil.rmtree(directory(), ignore_errors=True)


def kind_stack(cluster: Cluster, supply: Supply) -> PulumiStack:
    """The stack of this cluster, there or not yet. Raises BuildError where there is no engine."""
    environment = supply.pulumi(directory()) | {"KUBECONFIG": str(cluster.kubeconfig)}
    pack = supply.policy_pack(PROGRAM / "policy", directory() / "policy")
    return PulumiStack(directory(), STACK_NAME, environment, pack)
