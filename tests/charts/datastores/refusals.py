"""Rows of the tables about what charts refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.charts.datastores.scenarios import Scenario
from tests.charts.render import Refused


@dataclass(frozen=True)
class Refusal:
    """A scenario, what is changed in its values, and what the message must say."""

    scenario: Scenario
    values: dict[str, Any]
    says: tuple[str, ...]

    def expect(self) -> None:
        """It is refused, and told so."""
        with pytest.raises(Refused) as refused:
            self.scenario.render(**self.values)
        for words in self.says:
            assert words in str(refused.value)


def refusal(scenario: Scenario, values: dict[str, Any], *says: str) -> Any:
    return pytest.param(Refusal(scenario, values, says), id=f"{scenario}: {says[0]}")
