"""A real Kubernetes control plane on loopback (etcd, API server, controller manager), whose one kubelet is played.

What the engine talks to is real: server-side apply, admission, quotas, restricted pod security, rollouts by the
controllers. What is played: pods are bound, said to be running or done, and end when the test lets them. The programs
are those of the kind cluster (infra/kind), without its container engine.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from urllib3.exceptions import HTTPError

from infra.local.ports import free_port
from tests.infra.provider.cluster import ApiError, Cluster

NODE = "played"
POLL_SECONDS = 0.2
READY_SECONDS = 180
# The node sends no heartbeats: whoever would miss them is off.
CONTROLLERS = "*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller"

Object = dict[str, Any]


@dataclass
class ControlPlane:
    """One that runs. A terminating worker stays for `drain_seconds`, as its calls would have it."""

    kubeconfig: Path
    api: Cluster
    drain_seconds: float = 0
    _ending: dict[str, float] = field(default_factory=dict)

    def pods(self, namespace: str) -> list[Object]:
        """Pods as they are now."""
        items: list[Object] = self.api.request("GET", f"/api/v1/namespaces/{namespace}/pods")[0]["items"]
        return items

    def wait_gone(self, namespace: str, within: float = 120) -> None:
        """Until no pod there is terminating. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while any("deletionTimestamp" in pod["metadata"] for pod in self.pods(namespace)):
            if time.monotonic() > deadline:
                raise TimeoutError(f"pods of {namespace} still terminate after {within:g} s")
            time.sleep(POLL_SECONDS)

    def play(self, stop: threading.Event) -> None:
        """The kubelet, until it is told to stop."""
        while not stop.wait(POLL_SECONDS):
            with contextlib.suppress(ApiError, HTTPError):
                for pod in self.api.request("GET", "/api/v1/pods")[0]["items"]:
                    with contextlib.suppress(ApiError):
                        self._step(pod)

    def _step(self, pod: Object) -> None:
        metadata, status = pod["metadata"], pod.get("status", {})
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        worker = metadata.get("labels", {}).get("app.kubernetes.io/component") == "worker"
        if "deletionTimestamp" in metadata:
            began = self._ending.setdefault(metadata["uid"], time.monotonic())
            if not worker or time.monotonic() - began >= self.drain_seconds:
                self.api.request("DELETE", path, body={"gracePeriodSeconds": 0})
        elif not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": metadata["name"]},
                "target": target,
            }
            self.api.request("POST", f"{path}/binding", body=binding)
        elif status.get("phase") == "Pending":
            done = any(owner["kind"] == "Job" for owner in metadata.get("ownerReferences", []))
            conditions = [
                {"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady", "Initialized")
            ]
            new = {"phase": "Succeeded" if done else "Running", "conditions": conditions}
            content = "application/strategic-merge-patch+json"
            self.api.request("PATCH", f"{path}/status", body={"status": new}, content=content)


@contextmanager
def control_plane(programs: Path, directory: Path) -> Iterator[ControlPlane]:
    """Starts one, and ends it with everything it started. `programs` holds etcd and hyperkube."""
    etcd, peers, api, manager = (free_port() for _ in range(4))
    token = secrets.token_hex(16)
    (directory / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    subprocess.run(
        ["openssl", "genrsa", "-out", directory / "sa.key", "2048"], check=True, capture_output=True
    )
    kubeconfig = _kubeconfig(directory, f"https://127.0.0.1:{api}", token)
    arguments = {
        "etcd": {
            "data-dir": directory / "etcd",
            "listen-client-urls": f"http://127.0.0.1:{etcd}",
            "advertise-client-urls": f"http://127.0.0.1:{etcd}",
            "listen-peer-urls": f"http://127.0.0.1:{peers}",
        },
        "kube-apiserver": {
            "etcd-servers": f"http://127.0.0.1:{etcd}",
            "bind-address": "127.0.0.1",
            "secure-port": api,
            "cert-dir": directory / "certificates",
            "token-auth-file": directory / "tokens.csv",
            "authorization-mode": "RBAC",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": directory / "sa.key",
            "service-account-signing-key-file": directory / "sa.key",
            "service-cluster-ip-range": "10.99.0.0/24",
        },
        "kube-controller-manager": {
            "kubeconfig": kubeconfig,
            "bind-address": "127.0.0.1",
            "secure-port": manager,
            "cert-dir": directory / "certificates",
            "leader-elect": "false",
            "service-account-private-key-file": directory / "sa.key",
            "controllers": CONTROLLERS,
        },
    }
    with contextlib.ExitStack() as stack:
        for name, options in arguments.items():
            stack.enter_context(_running(programs, name, options, directory))
        plane = ControlPlane(kubeconfig, Cluster(str(kubeconfig)))
        stack.callback(plane.api.close)
        _wait_ready(plane.api, directory)
        plane.api.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        stop = threading.Event()
        kubelet = threading.Thread(target=plane.play, args=(stop,))
        kubelet.start()
        stack.callback(kubelet.join)
        stack.callback(stop.set)
        yield plane


@contextmanager
def _running(programs: Path, name: str, options: dict[str, Any], directory: Path) -> Iterator[None]:
    executable = programs / ("etcd" if name == "etcd" else "hyperkube")
    command = [name, *(f"--{key}={value}" for key, value in options.items())]
    with (directory / f"{name}.log").open("w") as log:
        process = subprocess.Popen(command, executable=executable, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_ready(api: Cluster, directory: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    wanted = "/api/v1/namespaces/default/serviceaccounts/default"  # made by the controller manager: both work
    while True:
        with contextlib.suppress(ApiError, HTTPError, json.JSONDecodeError):
            if api.get(wanted):
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"no control plane within {READY_SECONDS} s; logs: {directory}")
        time.sleep(POLL_SECONDS)


def _kubeconfig(directory: Path, server: str, token: str) -> Path:
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        # Its certificate is made by itself at each start; the address is loopback.
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "test",
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(content))
    return path
