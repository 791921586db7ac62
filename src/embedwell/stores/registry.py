"""The stores by kind. Third parties add theirs under the entry point `embedwell.stores`."""

from __future__ import annotations

STORES = {"sqlite": "embedwell.stores.sqlite:SqliteStore"}
