"""The stack on the kind cluster, by `pulumi up` of Pulumi.kind.yaml, as a reader of infra/README.md would run it."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

from infra.config import ConfigError
from infra.config.stackfile import read_stack_file
from infra.kind.cluster import NAME, Cluster
from infra.kind.install import STACK, server_values
from infra.kind.pulumi_stack import PROGRAM, PulumiStack
from infra.stack.components.charts import merged
from infra.supply import images as built
from infra.supply.binaries import cache_directory
from infra.supply.go_toolchain import ROOT
from infra.supply.offline.pulumi_engine import engine_directory, environment, policy_pack
from infra.supply.shell import KindError

STACK_NAME = "kind-cluster"
WORKER_SECRET = "agent-worker"  # noqa: S105  # a Secret's name


def directory() -> Path:
    """State, passphrase and config of the stack, beside the cluster's credentials. Goes with the cluster."""
    return cache_directory() / "kind" / f"{NAME}.pulumi"


def deploy(cluster: Cluster, images: built.Images, *, offline: bool) -> PulumiStack:
    """`pulumi up`, shown while it runs; returns the stack, for its outputs. A second run changes nothing.

    Raises KindError.
    """
    stack = kind_stack(cluster, offline=offline)
    stack.configure(kind_values(images, offline=offline))
    answer = stack.up(show=True)
    if answer.status != 0:
        raise KindError(f"pulumi up: exit status {answer.status}, for what it says above")
    return stack


def kind_values(images: built.Images, *, offline: bool) -> dict[str, Any]:
    """The config of the stack file, with the images as they were built here. Raises KindError."""
    try:
        values, problems = read_stack_file(STACK)
    except ConfigError as error:
        raise KindError(str(error)) from None
    if problems:
        raise KindError("\n  ".join(str(one) for one in problems))
    deployment = {
        "image": {"repository": built.AGENT, "tag": images.tags[built.AGENT]},
        "values": server_values(images.tags, offline=offline),
    }
    return merged(values, {"deployment": deployment})


def forget() -> None:
    """The cluster is gone, and with it all that the state knows."""
    shutil.rmtree(directory(), ignore_errors=True)


def _built_engine(workspace: Path) -> tuple[dict[str, str], Path]:
    """Environment and policy pack for the engine and the plugin built from their Go modules.

    Raises BuildError.
    """
    own = environment(engine_directory(), Path(sys.executable))
    own["PULUMI_HOME"] = str(workspace / "home")
    return own, policy_pack(PROGRAM / "policy", ROOT / ".venv", workspace / "policy")


def kind_stack(cluster: Cluster, *, offline: bool) -> PulumiStack:
    """The stack of this cluster, there or not yet. Raises KindError where there is no engine, BuildError."""
    if offline:
        own, pack = _built_engine(directory())
    elif shutil.which("pulumi"):
        own, pack = {}, PROGRAM / "policy"
    else:
        raise KindError(
            "pulumi: not found; install it (https://www.pulumi.com/docs/iac/download-install/) and uv, or, without a\n"
            "  container registry, OFFLINE=1 builds the engine from its Go module"
        )
    return PulumiStack(directory(), STACK_NAME, own | {"KUBECONFIG": str(cluster.kubeconfig)}, pack)
