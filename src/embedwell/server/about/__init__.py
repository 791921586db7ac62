"""What the service tells of itself: numbers, events, its routes, and the dashboard."""
