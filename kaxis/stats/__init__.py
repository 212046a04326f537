"""Estimates over seeds, and effects over cubes."""
