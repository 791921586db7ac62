"""The catalogue of models, their files, and how they become artifacts."""
