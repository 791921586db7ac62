"""embedwell's own routes: embed, rerank, search, compare, and look after the models."""
