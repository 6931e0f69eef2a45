"""The stack config as typed models: what may be configured, in which range, with which default, and why.

Units are in the names (`_seconds`, `_mib`); every other number is a plain count. Models are strict (a string
is not a number, `true` is not 1), refuse unknown keys and cannot be changed once made.
"""

from __future__ import annotations

from pydantic import Field, ValidationError, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from infra.config.datastore import DatastoreConfig, known_plan
from infra.config.deployment import DeploymentConfig
from infra.config.fleet import FleetConfig
from infra.config.mongodb import MongoDBConfig
from infra.config.others import DatastoreName, OtherConfig
from infra.config.plans import PLANS
from infra.config.redis import RedisConfig
from infra.config.section import Section
from infra.datastores import DatastoreKind, kind_of
from infra.datastores.plan import Plan


class StackConfig(Section):
    """Everything the budget is solved from: the keys under `agent-datastores:` in a stack file."""

    fleet: FleetConfig = Field(description="The promise and its times.")
    mongodb: MongoDBConfig = Field(default_factory=MongoDBConfig, description="MongoDB's side of the budget.")
    redis: RedisConfig = Field(default_factory=RedisConfig, description="Redis's side of the budget.")
    datastores: dict[DatastoreName, OtherConfig] = Field(
        default_factory=dict, description="Every further datastore by name; one that is absent costs nothing."
    )
    deployment: DeploymentConfig | None = Field(
        default=None, description="Where and how Pulumi deploys it; changes no number of the budget."
    )

    @field_validator("datastores")
    @classmethod
    def _plans_of_each(cls, datastores: dict[str, OtherConfig]) -> dict[str, OtherConfig]:
        # Here, for a datastore's section does not know under which name it stands.
        errors: list[InitErrorDetails] = []
        for name, config in datastores.items():
            try:
                if config.plan is not None:
                    known_plan(kind_of(name))(config.plan)
            except PydanticCustomError as error:
                errors.append(InitErrorDetails(type=error, loc=(name, "plan"), input=config.plan))
        if errors:
            raise ValidationError.from_exception_data(cls.__name__, errors)
        return datastores

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Those that datastores are on."""
        further = [self.datastores[name] for name in sorted(self.datastores)]
        sections: list[MongoDBConfig | RedisConfig | OtherConfig] = [self.mongodb, self.redis, *further]
        return tuple(PLANS[section.plan] for section in sections if section.plan)

    def section_of(self, kind: DatastoreKind) -> DatastoreConfig:
        """What is configured of a datastore; of a part, with the whole. Raises KeyError: it is not configured."""
        if not kind.of_its_own_section:
            return self.datastores[kind.name]
        section: DatastoreConfig = getattr(self, kind.section)
        return section
