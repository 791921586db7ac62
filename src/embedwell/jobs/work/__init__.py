"""Working off a queue: one worker, alone or with others."""
