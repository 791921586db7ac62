"""What a worker is wired from, and fleets of workers."""
