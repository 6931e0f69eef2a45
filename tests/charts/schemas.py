"""JSON schemas of Kubernetes and of custom resources, made from the Go modules that carry them: no network after that.

`python -m tests.charts.schemas` makes those that are missing, into the user's cache; `schema_directory` says where. A
module is pinned by version and by Go's own checksum of its content.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from infra.supply.cached import known_as
from infra.supply.errors import BuildError
from infra.supply.go_toolchain import Go, find_go
from infra.supply.places import cache_directory

Schema = dict[str, Any]

# As old as the charts' kubeVersion allows, the one that the cluster tests run, and the newest available.
KUBERNETES = ("1.30.0", "1.34.4", "1.37.0")
# Any that has modules and zips as Go 1.24 knows them.
GO = (1, 24)


@dataclass(frozen=True)
class Module:
    """A Go module, and where in it the CustomResourceDefinitions are."""

    path: str
    version: str
    checksum: str
    crds: str = ""


_KUBERNETES = "k8s.io/kubernetes"
_CHECKSUMS = {
    "1.30.0": "h1:u3Yw8rNlo2NDSGaDpoxoHXLPQnEu1tfqHATKOJe94HY=",
    "1.34.4": "h1:Yy6R4QB8C9kJPp25GFqEvX5XQwY5qzKeqD0Xx6oAcmk=",
    "1.37.0": "h1:TDSD+Izz9inqs7SmtJCAu7L5/DuYW9hAZ3GBdF6Ddkw=",
}
CUSTOM = (
    Module(
        "github.com/kedacore/keda/v2",
        "2.21.0",
        "h1:R6z2HZvstK4RLUMxroNACzBj74xGxt3kG59b5Xc+Xps=",
        "config/crd/bases",
    ),
    Module(
        "github.com/prometheus-operator/prometheus-operator",
        "0.88.0",
        "h1:3T/dCQdk7CUVRqVfwRHoC5g66fC/ML6XQQLtQVL6Q5o=",
        "example/prometheus-operator-crd",
    ),
    Module(
        "github.com/cert-manager/cert-manager",
        "1.19.0",
        "h1:pPKtK06zPriliwq7B12xa7DGKbc4SvnfOjE0BXaAspk=",
        "deploy/crds",
    ),
    Module(
        "github.com/percona/percona-server-mongodb-operator",
        "1.22.0",
        "h1:7iLJkmwa6AHSDTSY9q+g6/E53KrMF8p4uc/2NHrcN2g=",
        "config/crd/bases",
    ),
)
# No package that could be had carries the schema of these.
WITHOUT_SCHEMA = {"RedisReplication": "OT-CONTAINER-KIT's redis-operator is served by no registry reached"}


def schema_directory() -> Path:
    """The directory with `<version>/<kind>-<group>-<version>.json` and `custom/<kind>_<version>.json`; made if missing.

    Raises:
        BuildError: a module cannot be had, or is not what was pinned.
    """
    key = known_as(hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16])
    directory = cache_directory() / "schemas" / key
    directory.parent.mkdir(parents=True, exist_ok=True)
    with (directory.parent / f"{key}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            unfinished = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".making."))
            try:
                _make(unfinished)
                unfinished.rename(directory)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return directory


def _make(directory: Path) -> None:
    go = find_go(GO, cache_directory())
    for version in KUBERNETES:
        print(f"schemas of Kubernetes {version}", file=sys.stderr)
        source = _fetched(go, Module(_KUBERNETES, version, _CHECKSUMS[version]))
        _kubernetes(json.loads((source / "api/openapi-spec/swagger.json").read_text()), directory / version)
    custom = directory / "custom"
    custom.mkdir()
    for module in CUSTOM:
        print(f"schemas of {module.path} {module.version}", file=sys.stderr)
        for file in sorted((_fetched(go, module) / module.crds).glob("*.yaml")):
            for name, schema in _custom(file):
                (custom / f"{name}.json").write_text(json.dumps(schema))


def _fetched(go: Go, module: Module) -> Path:
    """The module's folder in Go's own cache."""
    with tempfile.TemporaryDirectory() as elsewhere:  # not in a module: nothing of this project is changed
        done = subprocess.run(
            [go.command, "mod", "download", "-json", f"{module.path}@v{module.version}"],
            cwd=elsewhere,
            env=go.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        raise BuildError(f"{module.path} {module.version}: {answer.get('Error') or done.stderr}")
    if answer["Sum"] != module.checksum:
        raise BuildError(f"{module.path} {module.version} has {answer['Sum']}, pinned is {module.checksum}")
    return Path(answer["Dir"])


def _kubernetes(swagger: Schema, directory: Path) -> None:
    directory.mkdir()
    definitions = {name: closed(schema) for name, schema in swagger["definitions"].items()}
    (directory / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
    for name, schema in swagger["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            group = f"-{kind['group'].partition('.')[0]}" if kind["group"] else ""
            file = directory / f"{kind['kind'].lower()}{group}-{kind['version']}.json"
            file.write_text(json.dumps({"$ref": f"_definitions.json#/definitions/{name}"}))


def _custom(file: Path) -> Iterator[tuple[str, Schema]]:
    yaml = YAML(typ="safe", pure=True)
    # A plain `=`, which YAML 1.1 gives a type of its own and Prometheus's matchers use as a string.
    yaml.constructor.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)
    for document in yaml.load_all(file):
        if document and document["kind"] == "CustomResourceDefinition":
            for version in document["spec"]["versions"]:
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                yield f"{document['spec']['names']['kind'].lower()}_{version['name']}", schema


def closed(schema: Any) -> Any:
    """A schema of the API server's as JSON Schema that refuses unknown keys, as `kubectl --validate=strict` does."""
    if isinstance(schema, list):
        return [closed(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    result = {
        key: {name: closed(inner) for name, inner in value.items()}
        if key == "properties"
        else value
        if key in ("default", "enum", "example")
        else closed(value)
        for key, value in schema.items()
    }
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        result.pop("format", None)
        result["type"] = ["string", "integer"]
    elif "properties" in schema and not (
        schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    ):
        result["additionalProperties"] = False
    if "$ref" in schema:
        return {"$ref": schema["$ref"]}
    if schema.get("description", "").startswith("Quantity is a fixed-point representation"):
        return {"type": ["string", "number"]}
    if schema.get("nullable"):
        result["type"] = [schema["type"], "null"] if "type" in schema else schema.get("type")
    result.pop("format", None)  # int32, byte, date-time and so on: formats of Go's, not of JSON Schema
    return result


if __name__ == "__main__":
    try:
        print(schema_directory())
    except BuildError as error:
        sys.exit(f"schemas not made: {error}")
