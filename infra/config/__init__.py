"""The stack config: one typed, checked object from a stack file, from Pulumi's values or from overrides.

config = load_config(Path("infra/Pulumi.local.yaml"))
smaller = apply_overrides(config, {"fleet.slots": 8})
"""

from __future__ import annotations

from infra.config.datastore import Consumer, DatastoreConfig
from infra.config.deployment import DeploymentConfig
from infra.config.fleet import FastRolling, FleetConfig, Rolling, StrictRolling
from infra.config.load import apply_overrides, load_config, parse_config, without_unknown_keys
from infra.config.mongodb import MongoDBConfig, Routers
from infra.config.others import OtherConfig
from infra.config.problems import ConfigError, Problem
from infra.config.redis import RedisConfig
from infra.config.schema import StackConfig

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
