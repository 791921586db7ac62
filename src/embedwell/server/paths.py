"""Paths of the routes about indexes; whoever only asks needs no more than these."""

from __future__ import annotations

SEARCH = "/v1/search"
PASSAGE = "/v1/chunk"
STATUS = "/v1/indexes/status"
REINDEX = "/v1/reindex"
COMPARE = "/v1/compare"
COMPARE_DEBUG = "/api/v3/debug/compare-rag-embedding"
