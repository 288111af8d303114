"""Figures, and the page that shows everything."""
