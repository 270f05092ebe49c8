"""People followed through each camera, who of them is who, and what of it calibration looks at."""
