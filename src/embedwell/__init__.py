"""embedwell: embeddings that fit the machine, and never silently disagree."""

__version__ = "0.1.0"
