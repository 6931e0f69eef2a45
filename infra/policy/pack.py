"""The rules as a policy pack: what Pulumi hands over made plain, what the rules say reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import getitem
from typing import Any

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError

from infra.budget import solve
from infra.config import ConfigError, parse_config
from infra.policy import fleet, opaque, scaling, secrecy, servers
from infra.policy.objects import Item, Stack
from infra.policy.rules import Expected, ItemRule, StackRule, item_violations, stack_violations
from infra.stack.cells import cells_of
from infra.stack.inputs import stack_values

ITEM_RULES: tuple[ItemRule, ...] = (
    *fleet.ITEM_RULES,
    *scaling.ITEM_RULES,
    *secrecy.ITEM_RULES,
    *opaque.ITEM_RULES,
)
STACK_RULES: tuple[StackRule, ...] = (*fleet.STACK_RULES, *scaling.STACK_RULES, *servers.STACK_RULES)
UNKNOWN = "not known before it is deployed"


def expected() -> Expected | None:
    """What the stack config promises; None when the program will refuse the config itself."""
    try:
        config = parse_config(stack_values(), "the stack config")
    except ConfigError:
        return None
    if config.deployment is None:
        return None
    namespaces = tuple(cell.namespace for cell in cells_of(config, config.deployment))
    return Expected(config, solve(config), namespaces)


def policies() -> list[Policy]:
    """Each rule as a policy, so that a report names it."""
    return [
        *(
            ResourceValidationPolicy(
                name=rule.name,
                description=rule.description,
                validate=_item_check(rule),
                enforcement_level=EnforcementLevel.MANDATORY,
            )
            for rule in ITEM_RULES
        ),
        *(
            StackValidationPolicy(
                name=rule.name,
                description=rule.description,
                validate=_stack_check(rule),
                enforcement_level=EnforcementLevel.MANDATORY,
            )
            for rule in STACK_RULES
        ),
    ]


def _item_check(rule: ItemRule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def check(args: ResourceValidationArgs, report: ReportViolation) -> None:
        promise = expected()
        if promise is None or not args.resource_type.startswith("kubernetes:"):
            return
        for violation in item_violations([rule], seen(args.resource_type, args.urn, args.props), promise):
            report(str(violation), None)

    return check


def _stack_check(rule: StackRule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def check(args: StackValidationArgs, report: ReportViolation) -> None:
        promise = expected()
        if promise is None:
            return
        items = [
            seen(one.resource_type, one.urn, one.props)
            for one in args.resources
            if one.resource_type.startswith("kubernetes:")
        ]
        for violation in stack_violations([rule], Stack(tuple(items)), promise):
            report(str(violation), violation.item["urn"] if violation.item else None)

    return check


def seen(pulumi_type: str, urn: str, props: Mapping[str, Any]) -> Item:
    """A resource's properties as the object they are, with Pulumi's own type and name of it.

    As it was asked for: what the plugin returns is the object of the cluster, in which the server has written its
    defaults (`replicas: 1` beside a scaler), and keeps the other one in `__inputs`.
    """
    if "__inputs" in props:
        props = props["__inputs"]
    plain = {key: _plain(partial(getitem, props, key)) for key in props}
    return plain | {"pulumiType": pulumi_type, "urn": urn}


def _plain(read: Callable[[], Any]) -> Any:
    """Proxies raise where a value is not known yet; a rule then finds a text that is no number."""
    try:
        value = read()
    except UnknownValueError:
        return UNKNOWN
    if isinstance(value, Mapping):
        return {key: _plain(partial(getitem, value, key)) for key in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(partial(getitem, value, index)) for index in range(len(value))]
    return value
