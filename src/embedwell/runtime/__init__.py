"""The embedders loaded right now, inside a memory budget."""
