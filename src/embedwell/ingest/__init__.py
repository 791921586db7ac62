"""Files into chunks into vectors."""
