"""Engines: what executes an artifact. Reached through `engines.registry` only."""
