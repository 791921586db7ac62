"""Alembic revisions that run the SQL files. Loaded by Alembic only, with the extra `migrations`."""
