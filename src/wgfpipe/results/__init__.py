"""What trajectories are compared by, and what the comparison says."""
