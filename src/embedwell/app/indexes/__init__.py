"""Indexes: opened, filled, asked, moved to another model, served."""
