"""One adapter for each engine, all speaking the protocol of `serve.py`."""
