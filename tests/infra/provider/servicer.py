"""The gRPC side: what the engine asks of a provider, answered by a real API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.provider.server import ProviderServicer
from pulumi.runtime import proto, rpc

from tests.infra.provider.cluster import ApiError, Cluster
from tests.infra.provider.projection import projected
from tests.infra.provider.readiness import Failed, missing

# Ten minutes is what the real plugin waits where nobody says otherwise.
DEFAULT_TIMEOUT_SECONDS = 600
POLL_SECONDS = 0.5
# Fields that the API server does not let change: the object is made anew.
FIXED = {
    "Job": ("spec",),
    "PersistentVolumeClaim": ("spec",),
    "StatefulSet": ("spec.volumeClaimTemplates", "spec.serviceName", "spec.selector"),
    "Deployment": ("spec.selector",),
    "Secret": ("type",),
    "PriorityClass": ("value",),
}

Object = dict[str, Any]


class Servicer(ProviderServicer):
    """Custom resources by server-side apply; charts by the base class's Construct."""

    _cluster: Cluster
    _cancelled = False

    async def CheckConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return proto.CheckResponse(inputs=request.news)

    async def DiffConfig(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        changed = request.news != request.olds
        kind = proto.DiffResponse.DIFF_SOME if changed else proto.DiffResponse.DIFF_NONE
        return proto.DiffResponse(changes=kind)

    async def Configure(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        given = _plain(request.args)
        self._cluster = Cluster(given.get("kubeconfig"), given.get("context"))
        # Whoever constructs components must accept secrets: inputs come marked, and outputs are marked like them.
        return proto.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, acceptResources=True, acceptOutputs=True
        )

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        return proto.CheckResponse(inputs=request.news)

    async def Diff(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        old, new = _plain(request.old_inputs), _plain(request.news)
        changed = [key for key in {*old, *new} if old.get(key) != new.get(key)]
        replaces = [path for path in _fixed(new) if _at(old, path) != _at(new, path)]
        return proto.DiffResponse(
            changes=proto.DiffResponse.DIFF_SOME if changed else proto.DiffResponse.DIFF_NONE,
            diffs=changed,
            replaces=[path.split(".")[0] for path in replaces],
            deleteBeforeReplace=bool(replaces),  # names are fixed: two cannot be there at once
        )

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        outputs = await self._apply(request.properties, request, context)
        name = _id(_plain(request.properties))
        return proto.CreateResponse(id="" if request.preview else name, properties=outputs)

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        outputs = await self._apply(request.news, request, context)
        return proto.UpdateResponse(properties=outputs)

    async def Read(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        asked = _plain(request.inputs) or _plain(request.properties)
        live = await asyncio.to_thread(self._look, asked)
        if live is None:
            return proto.ReadResponse(id="")
        seen = _struct(projected(live, asked), _secret_keys(request.inputs))
        return proto.ReadResponse(id=request.id, properties=seen, inputs=seen)

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        path = await asyncio.to_thread(self._cluster.path_of, _plain(request.properties))
        await asyncio.to_thread(self._cluster.delete, path)
        deadline = time.monotonic() + (request.timeout or DEFAULT_TIMEOUT_SECONDS)
        while await asyncio.to_thread(self._cluster.get, path):
            if time.monotonic() > deadline or self._cancelled:
                await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{path} is still there")
            await asyncio.sleep(POLL_SECONDS)
        return empty_pb2.Empty()

    async def Cancel(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802
        self._cancelled = True
        return empty_pb2.Empty()

    async def _apply(self, inputs: struct_pb2.Struct, request: Any, context: Any) -> struct_pb2.Struct:
        asked = _plain(inputs)
        if _has_unknowns(asked):  # in a preview only
            return inputs
        try:
            applied = await asyncio.to_thread(self._cluster.apply, asked, dry_run=request.preview)
        except ApiError as error:
            # In a preview the namespace or the definition may be of this very update.
            if request.preview and error.status == 404:
                return inputs
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{_id(asked)}: {error}")
            raise
        if not request.preview:
            await self._wait(asked, _timeout(asked, request.timeout), context)
        return _struct(projected(applied.live, asked), _secret_keys(inputs))

    async def _wait(self, asked: Object, seconds: float, context: Any) -> None:
        deadline = time.monotonic() + seconds
        lacks: str | None = "it to exist"
        try:
            while lacks:
                live = await asyncio.to_thread(self._look, asked)
                lacks = missing(live) if live else "it to exist"
                if lacks and (time.monotonic() > deadline or self._cancelled):
                    raise Failed(f"still waiting for {lacks} after {seconds:.0f} s")
                if lacks:
                    await asyncio.sleep(POLL_SECONDS)
        except Failed as failure:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"{asked['kind']} {_id(asked)}: {failure}")

    def _look(self, asked: Object) -> Object | None:
        return self._cluster.get(self._cluster.path_of(asked))


def _fixed(item: Object) -> tuple[str, ...]:
    always = ("apiVersion", "kind", "metadata.name", "metadata.namespace")
    return always + FIXED.get(item.get("kind", ""), ())


def _at(item: Object, path: str) -> Any:
    value: Any = item
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _id(item: Object) -> str:
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if metadata.get("namespace") else metadata["name"]


def _timeout(item: Object, given: float) -> float:
    """The resource's own, the annotation's as with the real plugin, or the default."""
    annotations = item["metadata"].get("annotations") or {}
    return given or float(annotations.get("pulumi.com/timeoutSeconds", DEFAULT_TIMEOUT_SECONDS))


def _plain(struct: struct_pb2.Struct) -> Object:
    """The object, without the marks of what is secret in it."""
    return dict(_unmarked(json_format.MessageToDict(struct)))


def _unmarked(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return _unmarked(value["value"])
        return {key: _unmarked(inner) for key, inner in value.items()}
    return [_unmarked(inner) for inner in value] if isinstance(value, list) else value


def _secret_keys(struct: struct_pb2.Struct) -> set[str]:
    """Top-level keys with a secret anywhere in them."""
    marked = json_format.MessageToDict(struct)
    return {key for key, value in marked.items() if _unmarked(value) != value}


def _struct(item: Object, secret: Collection[str] = ()) -> struct_pb2.Struct:
    mark = {rpc._special_sig_key: rpc._special_secret_sig}
    marked = {key: mark | {"value": value} if key in secret else value for key, value in item.items()}
    return json_format.ParseDict(marked, struct_pb2.Struct())


def _has_unknowns(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_unknowns, value.values()))
    if isinstance(value, list):
        return any(map(_has_unknowns, value))
    return bool(value == rpc.UNKNOWN)
