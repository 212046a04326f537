"""Cells into stacks, stacks onto a backend, records into the store."""
