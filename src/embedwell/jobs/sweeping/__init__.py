"""Comparing sources with what is stored, and queueing the difference."""
