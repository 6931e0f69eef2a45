"""OpenSearch: as Elasticsearch."""

from __future__ import annotations

from infra.datastores.kind import further

OPENSEARCH = further("opensearch", "OpenSearch", ports=(9200,))

KINDS = (OPENSEARCH,)
