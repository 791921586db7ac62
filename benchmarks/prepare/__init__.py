"""Makes the files that the peers run; each script runs in a peer's own environment."""
