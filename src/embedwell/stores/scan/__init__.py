"""Search over vectors that are held in memory: all values, or sign bits and then the best rows."""
