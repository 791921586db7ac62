"""Where texts become vectors: in this process, in the machine's service, or on a server."""
