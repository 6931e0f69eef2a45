"""What is wrong with a config, one line each: which key, what was given, what is accepted."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel, ValidationError

from infra.config.datastore import CONSUMER_NAME
from infra.config.deployment import ACCEPTED
from infra.config.others import DATASTORE_NAME, OtherConfig
from infra.config.schema import StackConfig

NAMESPACE = "agent-datastores"
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Problem:
    """One thing to put right. `key` is empty when the file as a whole is meant."""

    source: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.source, self.key, self.text) if part)


class ConfigError(Exception):
    """A config that cannot be used, with everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def shown(value: object) -> str:
    """A value as one would write it in the file, on one line and not too long."""
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, (list, tuple, set)):
        return "a list" if value else "an empty list"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        # Python refuses to write out an integer of more than 4300 digits.
        return "a number of thousands of digits"
    # What JSON leaves as it is may still break the line (U+0085, U+2028) or the terminal (a lone surrogate).
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """What is accepted instead of an unknown key."""
    names = list(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    return (f"did you mean {near[0]}? " if near else "") + f"accepted: {', '.join(names)}"


def key_name(path: Iterable[object]) -> str:
    """`agent-datastores:fleet.jobs` for ("fleet", "jobs")."""
    parts = (part if isinstance(part, str) and part.isprintable() else shown(part) for part in path)
    return f"{NAMESPACE}:" + ".".join(parts)


def problems_of(error: ValidationError, values: Mapping[str, object], source: str) -> list[Problem]:
    """Pydantic's findings as lines that name what is accepted."""
    secrets = list(_secrets(values))
    found = {path: f"got a Pulumi secret; accepted: {_accepted(path)}, in plain" for path in secrets}
    for item in error.errors(include_url=False):
        path = _path(item["loc"])
        if not any(path[: len(secret)] == secret for secret in secrets):
            found.setdefault(path, _text(path, item["type"], item["input"], item.get("ctx", {})))
    return [Problem(source, key_name(path), text) for path, text in found.items()]


_Path = tuple[object, ...]


def unknown_keys(error: ValidationError) -> list[_Path]:
    """Where keys stand that nobody knows."""
    return [
        _path(item["loc"]) for item in error.errors(include_url=False) if item["type"] == "extra_forbidden"
    ]


def _path(location: tuple[int | str, ...]) -> _Path:
    """Pydantic's location without what is not in the file: the mode chosen in a union, a key's marker."""
    # By position, not by name: a user may have written a key `fast` or `[key]`.
    if location[:2] == ("fleet", "rolling"):
        return location[:2] + location[3:]
    if _is_map_of_names(location[:-2]) and location[-1] == "[key]":
        return location[:-1]
    return location


def _is_map_of_names(path: _Path) -> bool:
    return path == ("datastores",) or (
        path[-1:] == ("consumers",) and (len(path) == 2 or (path[:1] == ("datastores",) and len(path) == 3))
    )


def _secrets(value: object, path: _Path = (), depth: int = 0) -> Iterator[_Path]:
    """Places where Pulumi has put an encrypted value: a mapping with the one key `secure`."""
    # An alias can make a mapping contain itself; nothing of ours lies deeper than five steps.
    if not isinstance(value, Mapping) or depth > 5:
        return
    if path and list(value) == ["secure"]:
        yield path
        return
    for key, inner in value.items():
        yield from _secrets(inner, (*path, key), depth + 1)


def _text(path: _Path, kind: str, value: object, context: Mapping[str, Any]) -> str:
    if kind == "extra_forbidden":
        return _unknown_key(path)
    if kind == "missing":
        return f"missing; accepted: {_accepted(path)}"
    if kind == "union_tag_not_found":
        return f"got {shown(value)} without mode; accepted: mode: fast or mode: strict"
    if kind == "union_tag_invalid":
        return f"got mode {shown(context.get('tag'))}; accepted: mode: fast or mode: strict"
    if kind in ("string_pattern_mismatch", "string_type") and _is_map_of_names(path[:-1]):
        names = DATASTORE_NAME if path[:-1] == ("datastores",) else CONSUMER_NAME
        return f"got the name {shown(value)}; accepted: {names}"
    accepted = context["accepted"] if kind == "not_accepted" else _accepted(path)
    return f"got {shown(value)}; accepted: {accepted}"


def _unknown_key(path: _Path) -> str:
    *parents, last = path
    models = list(_models(_annotation(tuple(parents))))
    own = [
        model for model in models if not ({"rolling"} & set(map(str, parents)) and last in model.model_fields)
    ]
    if len(own) < len(models):
        other = next(model for model in models if last in model.model_fields)
        mode = get_args(other.model_fields["mode"].annotation)[0]
        return f"belongs to mode: {mode}, not to the mode given here"
    names = list(dict.fromkeys(name for model in models for name in model.model_fields))
    return f"unknown key; {did_you_mean(str(last), names)}"


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """The models an annotation stands for: itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, UnionType):
        for inner in get_args(annotation):
            yield from _models(inner)


def _field(path: _Path) -> tuple[object, tuple[object, ...]]:
    """Annotation and constraints of what stands at this path; (None, ()) where nothing may stand."""
    annotation: object = StackConfig
    metadata: tuple[object, ...] = ()
    for step in path:
        if get_origin(annotation) is dict:
            annotation, metadata = get_args(annotation)[1], ()
            continue
        fields = [field for model in _models(annotation) if (field := model.model_fields.get(str(step)))]
        if not fields:
            return None, ()
        annotation, metadata = fields[0].annotation, tuple(fields[0].metadata)
    return annotation, metadata


def _annotation(path: _Path) -> object:
    return _field(path)[0]


def _accepted(path: _Path) -> str:
    """What may stand at this path, in words."""
    if words := next(
        (ACCEPTED[str(one)] for one in path[1:] if path[0] == "deployment" and one in ACCEPTED), ""
    ):
        return words
    return _accepted_by_type(path)


def _accepted_by_type(path: _Path) -> str:
    annotation, metadata = _field(path)
    models = list(_models(annotation))
    if models:
        required = [name for name, field in models[0].model_fields.items() if field.is_required()]
        return "a mapping" + (f" with at least {', '.join(required)}" if required else "")
    if get_origin(annotation) is dict:
        datastores = OtherConfig in get_args(annotation)
        holding = "limit, pool and so on" if datastores else "processes and connections"
        return f"a mapping of names, each with {holding}"
    if get_origin(annotation) is Literal:
        return " or ".join(map(str, get_args(annotation)))
    low = next((item.ge for item in metadata if isinstance(item, annotated_types.Ge)), None)
    high = next((item.le for item in metadata if isinstance(item, annotated_types.Le)), None)
    if low is not None and high is not None:
        return f"a whole number from {low} to {high}"
    return "a name"
