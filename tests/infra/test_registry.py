"""What the registry says of a datastore is what the agent, the plans and the workers' chart have."""

from __future__ import annotations

import re
from importlib import import_module

from ruamel.yaml import YAML

from agent.runtime.settings import Environment
from infra.config.plans import PLANS
from infra.config.schema import StackConfig
from infra.datastores import KINDS, kind_of
from tests.charts.render import CHARTS

WORKER = CHARTS / "agent-worker"


def test_the_agent_reads_the_address_of_whatever_it_opens() -> None:
    for kind in KINDS.values():
        if not kind.opened:
            continue
        module = import_module(f"agent.runtime.datastores.{kind.name}")
        assert callable(getattr(module, kind.name))
        read = {
            model.model_fields["url"].alias
            for model in vars(module).values()
            if isinstance(model, type) and issubclass(model, Environment) and "url" in model.model_fields
        }
        assert read == {kind.url_variable}


def test_a_part_is_reached_by_the_whole_or_by_routers() -> None:
    for kind in KINDS.values():
        if kind.part_of is None:
            assert kind.url_variable == f"{kind.name.upper()}_URL"
            continue
        whole = kind_of(kind.part_of)
        assert kind.section == whole.section
        assert kind.url_variable == (whole.url_variable if kind.dialled_by == "workers" else None)


def test_sections_and_plans_are_those_of_the_stack_file() -> None:
    own = {kind.section for kind in KINDS.values() if kind.of_its_own_section}
    assert own == set(StackConfig.model_fields) - {"fleet", "datastores", "deployment"}
    takes = {kind.name for kind in KINDS.values() if kind.plans}
    assert takes == {plan.family.datastore for plan in PLANS.values()}
    assert len(PLANS) == sum(len(kind.plans) for kind in KINDS.values()), "two plans of one name"


def test_ports_that_the_chart_has_for_older_budgets_are_the_registrys() -> None:
    values = YAML(typ="safe").load(WORKER / "values.yaml")
    for name, place in values["networkPolicy"]["datastores"].items():
        assert tuple(place["ports"]) == kind_of(name).ports


def test_the_workers_chart_names_no_datastore_but_the_one_whose_indexes_it_makes() -> None:
    names, comment = re.compile("|".join(KINDS), re.IGNORECASE), re.compile(r"\{\{-? ?/\*.*?\*/", re.DOTALL)
    texts = (comment.sub("", template.read_text()) for template in (WORKER / "templates").iterdir())
    assert {found.lower() for text in texts for found in names.findall(text)} == {"mongodb"}
