"""The vocabulary of space, once: cameras and rays, rigid motions and similarities, fits, least squares, graphs."""
