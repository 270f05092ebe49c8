"""The solution in metres on its floor, and the motion in it."""
