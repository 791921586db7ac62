"""Measures embedwell beside its peers. Start with `README.md`."""
