"""What all routes share: the runtime and its watch, bodies, errors, who may ask."""
