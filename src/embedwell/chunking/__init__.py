"""Text and code into passages, by structure and by real token counts."""
