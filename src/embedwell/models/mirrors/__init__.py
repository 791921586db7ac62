"""Where the published bytes of a model may come from; one file a mirror."""
