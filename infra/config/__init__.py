"""The stack config: one typed, checked object from a stack file, from Pulumi's values or from overrides.

config = load_config(Path("infra/Pulumi.local.yaml"))
smaller = apply_overrides(config, {"fleet.slots": 8})
"""

from __future__ import annotations

from infra.config.deployment import DeploymentConfig
from infra.config.load import apply_overrides, load_config, parse_config, without_unknown_keys
from infra.config.problems import ConfigError, Problem
from infra.config.schema import (
    Consumer,
    DatastoreConfig,
    FastRolling,
    FleetConfig,
    MongoDBConfig,
    OtherConfig,
    RedisConfig,
    Rolling,
    Routers,
    StackConfig,
    StrictRolling,
)

__all__ = [
    "ConfigError",
    "Consumer",
    "DatastoreConfig",
    "DeploymentConfig",
    "FastRolling",
    "FleetConfig",
    "MongoDBConfig",
    "OtherConfig",
    "Problem",
    "RedisConfig",
    "Rolling",
    "Routers",
    "StackConfig",
    "StrictRolling",
    "apply_overrides",
    "load_config",
    "parse_config",
    "without_unknown_keys",
]
