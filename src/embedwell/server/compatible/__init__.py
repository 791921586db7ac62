"""The routes that programs written for other servers call."""
