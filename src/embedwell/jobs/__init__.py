"""The long tasks, made of the parts below."""
