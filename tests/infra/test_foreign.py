"""A Secret that somebody else has made under a name of ours is refused in the preview; its values are never read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pulumi
import pytest
from kubernetes.client import V1ManagedFieldsEntry, V1ObjectMeta
from kubernetes.config import kube_config

from infra.stack.components.objects import MANAGER
from infra.stack.foreign import METADATA_ALONE, refuse_foreign, secrets_there
from infra.stack.rollover import Refused
from tests.infra.stack import KIND, changed, deploy

# As the API server has it after `kubectl apply --server-side` with stringData: whose it is, is noted nowhere.
NOBODYS = V1ObjectMeta(name="redis-users")
OURS = V1ObjectMeta(name="redis-users", annotations={**MANAGER, "other": "one"})
OF_0_1_0 = V1ObjectMeta(managed_fields=[V1ManagedFieldsEntry(manager="pulumi-kubernetes-1a2b3c4d")])
KUBECTLS = V1ObjectMeta(
    annotations={"pulumi.com/patchFieldManager": "another"},
    managed_fields=[V1ManagedFieldsEntry(manager="kubectl-create")],
)


@pytest.mark.parametrize("theirs", [NOBODYS, KUBECTLS], ids=["of nobody", "of kubectl"])
def test_it_is_named_with_what_can_be_done(theirs: V1ObjectMeta) -> None:
    with pytest.raises(pulumi.RunError) as refused:
        deploy(KIND, others={"agents/redis-users": theirs, "agents/mongodb-users": theirs})
    first, second = str(refused.value).splitlines()
    assert first.startswith("Secret agents/mongodb-users is there already, and this program has not made it")
    assert "deployment.secrets.source: existing" in second
    assert "kubectl -n agents annotate secret redis-users pulumi.com/patchFieldManager=" in second


@pytest.mark.parametrize("ours", [OURS, OF_0_1_0], ids=["this version's", "0.1.0's"])
def test_what_the_program_has_made_itself_is_taken_over(ours: V1ObjectMeta) -> None:
    """What `data: keep` has left, or an `up` that was killed."""
    names = ("agent-worker", "mongodb-users", "redis-users")
    deploy(KIND, others={f"agents/{name}": ours for name in names})


def test_what_is_given_away_as_the_message_says_is_ours() -> None:
    with pytest.raises(pulumi.RunError) as refused:
        deploy(KIND, others={"agents/redis-users": NOBODYS})
    key, _, value = str(refused.value).rpartition(" ")[2].partition("=")
    deploy(KIND, others={"agents/redis-users": V1ObjectMeta(annotations={key: value})})


@pytest.mark.parametrize("source", [{"source": "existing"}, {"source": "external", "store": "vault"}])
def test_secrets_that_the_program_does_not_make_are_anybodys(source: dict[str, str]) -> None:
    deploy(changed({"deployment.secrets": source}), others={"agents/agent-worker": NOBODYS})


def test_each_cell_is_looked_at() -> None:
    with pytest.raises(pulumi.RunError, match="Secret agents-2/agent-worker is there already"):
        deploy(changed({"fleet.cells": 2}), others={"agents-2/agent-worker": NOBODYS})


SECRETS: dict[str, dict[str, Any]] = {
    "nobodys": {"metadata": {"name": "nobodys", "managedFields": []}},
    "ours": {"metadata": {"name": "ours", "annotations": MANAGER}},
}


class Api(BaseHTTPRequestHandler):
    """As an API server answers one who asks for metadata alone; whoever asks otherwise is refused."""

    def do_GET(self) -> None:
        found = SECRETS.get(self.path.rpartition("/")[2])
        status = 404 if found is None else 200 if self.headers["Accept"] == METADATA_ALONE else 403
        kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        body = json.dumps(kind | found if found and status == 200 else {"kind": "Status"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_cluster_is_asked_for_nothing_of_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig = tmp_path / "config"
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))
    with serving() as address:
        kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "c", "cluster": {"server": address}}],
                    "users": [{"name": "u", "user": {}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                }
            )
        )
        found = secrets_there("x", "agents", ("ours", "nobodys", "not-there"))
    assert set(found) == {"ours", "nobodys"}
    with pytest.raises(Refused, match=r"^Secret agents/nobodys is there already[^\n]+$"):
        refuse_foreign("agents", found)
