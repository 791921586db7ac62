"""Programs whose memory is measured while they run; each is a process of its own."""
