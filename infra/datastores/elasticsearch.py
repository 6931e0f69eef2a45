"""Elasticsearch: HTTP, a pool to each node."""

from __future__ import annotations

from infra.datastores.kind import further

ELASTICSEARCH = further("elasticsearch", "Elasticsearch", ports=(9200,))

KINDS = (ELASTICSEARCH,)
