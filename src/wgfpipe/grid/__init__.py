"""Grids and what is computed on their nodes."""
