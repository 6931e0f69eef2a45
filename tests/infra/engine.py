"""The real Pulumi engine on a stack of a test's own, with the stand-in for the Kubernetes plugin."""

from __future__ import annotations

from pathlib import Path

from infra.kind.deploy import built_engine
from infra.kind.pulumi_stack import PulumiStack


def stack_of(directory: Path, name: str, kubeconfig: Path) -> PulumiStack:
    """Its state and its config are in the directory."""
    environment, pack = built_engine(directory)
    return PulumiStack(directory, name, environment | {"KUBECONFIG": str(kubeconfig)}, pack)
