"""The paper: draw, nudge, accumulate, project; coarse to fine; restarts; fidelity, refinement, importance."""
