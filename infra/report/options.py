"""The command's options as overrides of the stack config."""

from __future__ import annotations

from collections.abc import Iterable

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from infra.budget.explore import plan_changes
from infra.budget.suggestions import Changes
from infra.config import ConfigError, Problem
from infra.config.plans import PLANS
from infra.config.problems import shown


def asked(jobs: int | None, plans: Iterable[str], what_if: Iterable[str]) -> Changes:
    """The overrides of the command's --jobs, --plan and --what-if; later ones win over earlier ones.

    Raises:
        ConfigError: naming the option and what is accepted.
    """
    changes: Changes = {} if jobs is None else {"fleet.jobs": jobs}
    for plan in plans:
        if plan not in PLANS:
            raise ConfigError([Problem("--plan", "", f"got {shown(plan)}; accepted: {', '.join(PLANS)}")])
        changes |= plan_changes(plan)
    for given in what_if:
        key, equals, value = given.partition("=")
        if not equals or "." not in key:
            text = "accepted: KEY=VALUE such as mongodb.pool=3, or KEY= to take the key out"
            raise ConfigError([Problem("--what-if", "", f"got {shown(given)}; {text}")])
        changes[key.strip()] = _value(value)
    return changes


def _value(text: str) -> object:
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        return text  # the key's own check will say what is accepted
