"""A live object reduced to the fields one asked for, so that what others set is no drift."""

from __future__ import annotations

import base64
from typing import Any

from kubernetes.utils.quantity import parse_quantity

Object = dict[str, Any]


def projected(live: Object, asked: Object) -> Object:
    """The live values of the asked fields; what the server only spelled otherwise is as it was asked."""
    if live.get("kind") == "Secret" and "stringData" in asked:
        data = {key: base64.b64decode(value).decode() for key, value in (live.get("data") or {}).items()}
        live = live | {"stringData": data}
    result = _value(live, asked)
    assert isinstance(result, dict)
    return result


def _value(live: Any, asked: Any) -> Any:
    if isinstance(asked, dict) and isinstance(live, dict):
        return _mapping(live, asked)
    if isinstance(asked, list) and isinstance(live, list):
        return _list(live, asked)
    return asked if _same(live, asked) else live


def _mapping(live: Object, asked: Object) -> Object:
    result = {}
    for key, value in asked.items():
        if key in live:
            result[key] = _value(live[key], value)
        elif value in (None, {}, [], "", False, 0):
            result[key] = value  # the server leaves out what is empty
    return result


def _list(live: list[Any], asked: list[Any]) -> list[Any]:
    if all(isinstance(one, dict) and "name" in one for one in (*live, *asked)):
        by_name = {one["name"]: one for one in live}
        kept = [_value(by_name.pop(one["name"]), one) for one in asked if one["name"] in by_name]
        return kept + list(by_name.values())
    if len(live) != len(asked):
        return live
    return [_value(one, other) for one, other in zip(live, asked, strict=True)]


def _same(live: Any, asked: Any) -> bool:
    if live == asked:
        return True
    try:
        return bool(parse_quantity(str(live)) == parse_quantity(str(asked)))
    except ValueError:
        return False
