"""A chart of this project with the budget's values and the deployment's, as resources that previews show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.budget.capacity import Room
from infra.budget.solution import Solution
from infra.config import DeploymentConfig
from infra.config.deployment import ChartName
from infra.handoff.values import helm_values

Values = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a component's objects go, and what they have in common."""

    namespace: str
    deployment: DeploymentConfig
    solution: Solution
    rooms: tuple[Room, ...]
    provider: kubernetes.Provider


def chart(
    name: ChartName,
    place: Place,
    values: Mapping[str, Any],
    *,
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource] = (),
) -> kubernetes.helm.v4.Chart:
    """A release that bears its chart's name, one a namespace.

    Values: the budget's, then the component's, then those of `deployment.values`.
    """
    deployment = place.deployment
    common: Values = {"extraLabels": dict(deployment.labels), "imageRegistry": deployment.image_registry}
    own = deployment.values.get(name, {})
    budget = helm_values(place.solution, place.rooms).get(name, {})
    return kubernetes.helm.v4.Chart(
        f"{place.namespace}-{name}",
        name=name,
        # Relative, as the program runs in infra/: another checkout is no change.
        chart=f"../charts/{name}",
        namespace=place.namespace,
        values=merged(merged(merged(budget, common), values), own),
        opts=pulumi.ResourceOptions(parent=parent, depends_on=depends_on, provider=place.provider),
    )


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Values:
    """As helm merges values files: mappings deeply, everything else replaced."""
    result = dict(base)
    for key, value in over.items():
        inside = result.get(key)
        both = isinstance(inside, Mapping) and isinstance(value, Mapping)
        result[key] = merged(inside, value) if both else value  # type: ignore[arg-type]
    return result
