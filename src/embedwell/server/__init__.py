"""The service: one runtime for every process of the machine, over the APIs that people call."""
