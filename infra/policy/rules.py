"""What a rule is: a question to one object, or to the stack as a whole, answered with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from infra.budget.solution import Solution
from infra.config import StackConfig
from infra.policy.objects import Item, Stack, at, name


@dataclass(frozen=True)
class Expected:
    """What the rules compare with: the solution of a cell, and the namespaces of all of them."""

    config: StackConfig
    solution: Solution
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Violation:
    """One thing that is refused."""

    rule: str
    item: Item | None
    message: str

    def __str__(self) -> str:
        return f"{name(self.item)}: {self.message}" if self.item else self.message


ItemCheck = Callable[[Item, Expected], Iterator[str]]
StackCheck = Callable[[Stack, str, Expected], Iterator[tuple[Item | None, str]]]


@dataclass(frozen=True)
class ItemRule:
    """About one object, whatever stands beside it: asked before that object is made."""

    name: str
    description: str
    check: ItemCheck


@dataclass(frozen=True)
class StackRule:
    """About a cell's objects together: asked once all are known."""

    name: str
    description: str
    check: StackCheck


def item_violations(rules: Iterable[ItemRule], item: Item, expected: Expected) -> Iterator[Violation]:
    """What these rules have against an object."""
    for rule in rules:
        for message in rule.check(item, expected):
            yield Violation(rule.name, item, message)


def stack_violations(rules: Iterable[StackRule], stack: Stack, expected: Expected) -> Iterator[Violation]:
    """What these rules have against a stack, cell by cell."""
    for rule in rules:
        for namespace in expected.namespaces:
            for item, message in rule.check(stack, namespace, expected):
                yield Violation(rule.name, item, message)


def in_cell(item: Item, expected: Expected) -> bool:
    """Whether an object belongs to a cell of this stack."""
    return at(item, "metadata", "namespace") in expected.namespaces
