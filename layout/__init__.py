"""Room layout: planes, floor plan and a watertight room from the cameras, depth and splats of a few photos."""
