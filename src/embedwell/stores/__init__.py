"""Where documents, chunks and vectors live. Reached through `stores.registry` only."""
