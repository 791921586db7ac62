"""A question into ranked chunks."""
