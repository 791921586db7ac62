"""Models: which one fits, how it gets here, what is known of it."""
