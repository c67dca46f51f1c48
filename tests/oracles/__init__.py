"""Slow, obvious reference implementations written from the equations."""
