"""Scene data, the stage runner, pose-free initialisation, depth, fusion and metrics."""
