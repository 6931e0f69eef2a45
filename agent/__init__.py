"""A LiveKit agent whose jobs open their own database clients, inside a budget solved before deployment."""
