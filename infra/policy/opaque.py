"""What a policy cannot look into is refused where the fleet lives."""

from __future__ import annotations

from collections.abc import Iterator

from infra.policy.objects import Item, at
from infra.policy.rules import Expected, ItemRule, in_cell

CHART = "kubernetes:helm.sh/v4:Chart"


def patches(item: Item, expected: Expected) -> Iterator[str]:
    """A patch changes an object after it was compared."""
    if str(item.get("pulumiType", "")).endswith("Patch") and in_cell(item, expected):
        yield "patches an object after it was compared with the budget: change the object where it is made"


def releases(item: Item, expected: Expected) -> Iterator[str]:
    """Helm's own releases are for operators, in namespaces of theirs: no preview shows their objects."""
    if (
        item.get("pulumiType") == "kubernetes:helm.sh/v3:Release"
        and item.get("namespace") in expected.namespaces
    ):
        yield f"a Release in {item.get('namespace')} hides its objects from this policy: use kubernetes.helm.v4.Chart"


def secrets_of_charts(item: Item, expected: Expected) -> Iterator[str]:  # noqa: ARG001
    """What a chart renders was among its values, and those are kept in clear."""
    rendered = item.get("kind") == "Secret" and CHART in str(item.get("urn", ""))
    if rendered and (at(item, "data") or at(item, "stringData")):
        yield "comes from a chart's values, which Pulumi's state holds in clear: name an existing Secret instead"


ITEM_RULES = (
    ItemRule("no-patches", "Objects are changed where they are made.", patches),
    ItemRule("no-hidden-objects", "Every object of a cell is seen by previews.", releases),
    ItemRule("no-secrets-in-charts", "Charts are given names of Secrets.", secrets_of_charts),
)
