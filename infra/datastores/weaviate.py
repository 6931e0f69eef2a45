"""Weaviate: HTTP, and gRPC beside it."""

from __future__ import annotations

from infra.datastores.kind import Sockets, further

# weaviate-client 4.24: one channel to the server's gRPC port beside the HTTP pool; counted in the kernel.
WEAVIATE = further("weaviate", "Weaviate", ports=(8080, 50051), beside_pool=Sockets(1, "gRPC channel"))

KINDS = (WEAVIATE,)
