"""The store in a PostgreSQL database with pgvector. Reached by `stores.registry`."""
