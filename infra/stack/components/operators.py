"""Third-party operators by helm's own Release: their charts have hooks, and definitions that ours need first."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from infra.config import DeploymentConfig


class Operators(pulumi.ComponentResource):
    """Every operator of the config, before anything of ours."""

    releases: list[pulumi.Resource]

    def __init__(self, name: str, deployment: DeploymentConfig, provider: kubernetes.Provider) -> None:
        super().__init__("agent-datastores:infra:Operators", name)
        self.releases = [
            kubernetes.helm.v3.Release(
                operator,
                name=operator,
                chart=given.chart,
                repository_opts={"repo": given.repository} if given.repository else None,
                version=given.version,
                namespace=given.namespace,
                create_namespace=True,
                opts=pulumi.ResourceOptions(parent=self, provider=provider),
            )
            for operator, given in sorted(deployment.operators.items())
        ]
        self.register_outputs({"operators": sorted(deployment.operators)})
