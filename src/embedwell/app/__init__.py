"""Settings in, wired parts out: the only place that names concrete classes."""
