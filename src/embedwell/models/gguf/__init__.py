"""Models from GGUF files: read here, without llama.cpp, or handed to it whole."""
