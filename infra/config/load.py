"""Reads and checks a stack config, wherever its values come from; changes some of them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from infra.config.problems import ConfigError, Problem, key_name, problems_of, unknown_keys
from infra.config.schema import StackConfig
from infra.config.stackfile import read_stack_file


def load_config(path: Path) -> StackConfig:
    """Reads and checks a stack file.

    Raises:
        ConfigError: with every problem of the file.
    """
    values, problems = read_stack_file(path)
    try:
        config = parse_config(values, str(path))
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return config


def parse_config(values: Mapping[str, object], source: str) -> StackConfig:
    """Checks values that are in memory already, such as those Pulumi has read.

    Args:
        values: by short key: `{"fleet": {...}, "mongodb": {...}, "redis": {...}}`.
        source: where they come from, for the messages.

    Raises:
        ConfigError: with every problem of the values.
    """
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(problems_of(error, values, source)) from None


def without_unknown_keys(values: Mapping[str, object]) -> tuple[dict[str, object], list[str]]:
    """What is left of another version's values when the keys that this one does not know are gone, and those keys."""
    kept, gone = deepcopy(dict(values)), []
    try:
        StackConfig.model_validate(kept)
    except ValidationError as error:
        for path in unknown_keys(error):
            *parents, last = path
            inside: Any = kept
            for parent in parents:
                inside = inside[parent]
            del inside[last]
            gone.append(".".join(map(str, path)))
    return kept, gone


def apply_overrides(
    config: StackConfig, overrides: Mapping[str, object], source: str = "override"
) -> StackConfig:
    """The same config with some values changed, checked as if they stood in the file.

    Args:
        config: stays as it is.
        overrides: dotted keys, `{"fleet.slots": 8}`; None takes a key out, so that its default holds.
        source: where they come from, for the messages.

    Raises:
        ConfigError: naming the keys that cannot be so.
    """
    # Only what was given: a default that no longer belongs (the cache of our own server, once a plan is set)
    # must not come back as if the user had written it.
    values: dict[str, object] = config.model_dump(exclude_unset=True)
    for key, value in overrides.items():
        *parents, last = key.split(".")
        inside = values
        for depth, parent in enumerate(parents):
            deeper = inside.setdefault(parent, {})
            if not isinstance(deeper, dict):
                name = key_name(parents[: depth + 1])
                raise ConfigError([Problem(source, key_name(key.split(".")), f"{name} holds no keys")])
            inside = deeper
        if value is None:
            inside.pop(last, None)
        else:
            inside[last] = value
    return parse_config(values, source)
