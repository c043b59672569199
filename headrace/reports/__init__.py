"""What people read: the figures of a turn, of the demo and of the circle, as tables, JSON and a page."""
