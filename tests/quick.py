"""Options of runs that tests can afford."""

QUICK = ("--preset", "fast", "--depth.long-side", "256", "--splat.long-side", "256")
