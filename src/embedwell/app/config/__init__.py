"""Settings: where they come from, whose they are, and what they mean for this machine."""
