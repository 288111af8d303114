"""Optimal transport between measures: plans, sparse plans, and transport on lines."""
