"""Images of the stack, in the engine: what was built, and what charts must be told so that they take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.supply.engine import Engine
from infra.supply.places import cache_directory

AGENT = "agent-datastores/agent"

Make = Callable[[Engine, str], None]
"""Makes an image of this name in the engine."""


@dataclass(frozen=True)
class Images:
    """What was built here. Every other image is pulled by the nodes."""

    tags: Mapping[str, str]
    """By repository."""
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Of charts, by their names."""

    @property
    def names(self) -> list[str]:
        return [f"{name}:{tag}" for name, tag in self.tags.items()]


def ensure(engine: Engine, wanted: Mapping[str, Make]) -> dict[str, str]:
    """Have these images, by name; their tags by repository. What is there is not made again."""
    (cache_directory() / "kind").mkdir(parents=True, exist_ok=True)  # where they are put together
    for name, make in wanted.items():
        if not engine.has_image(name):
            print(f"  image {name}", flush=True)
            make(engine, name)
    return dict(name.rsplit(":", 1) for name in wanted)
