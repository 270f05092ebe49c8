"""Time offsets between cameras: by motion, and by sound."""
