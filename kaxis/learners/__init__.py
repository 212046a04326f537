"""Learners that are code: one file each, built from a `kaxis.nets.start.Start`."""
