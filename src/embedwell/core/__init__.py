"""Values that every layer speaks of: spaces, vectors, artifacts, the device, events, errors."""
