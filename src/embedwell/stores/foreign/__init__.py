"""Vectors in an application's own SQLite file: searched where they are, never written."""
