"""Tables of an application's own: searched as they are, or moved to another model."""
