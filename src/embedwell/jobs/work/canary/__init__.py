"""The canary: a run checks itself before it goes on."""
