"""What MongoDB's chart and Redis' say of the budget is one text with two nouns, which is held here.

A library chart would have to be fetched before `helm template charts/mongodb` works.
"""

from __future__ import annotations

from tests.charts.render import CHARTS


def test_both_servers_charts_compare_with_the_budget_in_the_same_words() -> None:
    mongodb, redis = (
        (CHARTS / chart / "templates/_budget.tpl").read_text() for chart in ("mongodb", "redis")
    )
    assert mongodb.replace("mongodb", "redis").replace("MongoDB", "Redis") == redis
