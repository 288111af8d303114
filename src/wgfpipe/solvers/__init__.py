"""Inner solvers and closed forms: numerics that know no problem, no config and no method."""
