"""Records and the cube they make."""
