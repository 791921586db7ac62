"""Servers of other programs: how each is asked, and how its answers are read."""
