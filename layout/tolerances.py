"""Every threshold of this package: unit (in the name), meaning, source.

Where no source is named, a value was chosen by hand on rooms of `fewview.data.gallery`. What halving and doubling each
of them moves in other rooms is measured by `fewview bench thresholds` and listed in docs/thresholds.md.
"""

from __future__ import annotations

# Surface points (`fewview.layout.surfaces`)
WINDOW_SHARE = 1 / 17
"""Side of the window that a normal is fitted in, as a share of the image's long side."""
GRID = 160
"""Points along the long side of an image."""
MAX_RESIDUAL = 2.5
"""Multiple of the typical residual of a view's windows above which one is no plane: an edge or a corner."""
MIN_RESIDUAL = 0.006
"""Relative inverse depth; no view is trusted to be more precise."""
LEAST_CONFIDENCE = 0.5
"""Depth that is rather wrong than right is no wall: completion may have carried the side of a cupboard on.
(derived: the confidence is a probability)"""
SLANT_FLOOR = 0.15
"""Cosine between a surface and its ray to which a pixel's footprint is held: few at a slant must not outweigh all."""
SCALE_PRIOR = 0.02
"""Standard deviation of a view's scale among the others, before they are compared."""
SCALE_NOISE = 0.005
"""Standard deviation of the median ratio of two views' depths."""
SCALE_GATE = 0.12
"""Logarithm of a ratio of depths beyond which two views see different surfaces."""
SCALE_POINTS = 100
"""Points that two views must share for their ratio to count."""

# Up and wall directions (`fewview.layout.gravity`, `fewview.layout.vanishing`)
UP_ROUNDS_DEG = (20.0, 10.0, 6.0)
"""Angles within which a surface counts as horizontal or upright, round by round."""
MIN_LEVEL_SHARE = 0.03
"""Of all surface, that must be level for surfaces to tell what is up."""
EDGES_AGREE_DEG = 3.0
"""Upright edges this close to what surfaces tell are the finer answer..."""
EDGES_FINE_PX = 400
"""... in photos of at least this long side."""
UPRIGHT_COSINE = 0.3
"""Vertical part of the normal of what may be a wall, where the walls' directions are sought."""
OFF_AXIS_DEG = 10.0
"""Angle from the axes, and between directions, that makes a direction of its own."""
MIN_OFF_AXIS_SHARE = 0.15
"""Of the upright surface, that must not follow the axes before further directions are looked for."""
MIN_OBLIQUE_SHARE = 0.06
"""Of the upright surface, that one more direction needs."""
DIRECTION_BLUR_DEG = 2.5
"""Of the histogram of directions."""
DIRECTION_ROUNDS_DEG = (8.0, 5.0, 3.0)
"""Angles about a direction over which it is averaged, round by round."""
EDGE_LONG_SIDE_PX = 640
"""Of the photos in which upright edges and seams are sought."""
UP_NEAR_DEG = 20.0
"""How far up may be from where edges seek it."""
UP_VOTERS = 80
"""The longest edges, of which pairs propose directions."""
UP_ALONG_DEG = (1.5, 1.0, 0.7, 0.5)
"""An edge this close to a direction runs along it, round by round."""
UP_LEAST_LENGTH = 1.0
"""Of the edges that run along up, together, in long sides of a photo: a few sticks may lean alike."""
UP_LEAST_SINE = 0.1
"""Between two planes of edges that are to tell a direction: edges in one plane do not say where in it."""

# Floor and ceiling (`fewview.layout.levels`)
LEVEL_COSINE = 0.9
"""Vertical part of the normal of floor and ceiling."""
LEVEL_SUPPORT_M2 = 0.3
"""Surface that a floor or a ceiling needs."""
LEVEL_BIN_M = 0.02
"""Of the histogram of heights."""
LEVEL_FRINGE = 0.1
"""Share of the highest peak that another has at least: lower ones are its fringe."""
LEVEL_REACH_M = (0.08, 0.05)
"""Heights about a level over which it is averaged, round by round."""
BELOW_EYES_M = 0.3
"""How far below all cameras the floor is, and, unseen, the ceiling above them."""
ABOVE_EYES_M = 0.1
"""How far above all cameras a ceiling is."""
PAST_M = 0.3
"""Below a level, and beside where it was seen, of what is seen past its edge."""
USUAL_EYE_M = 1.46
"""Of the cameras above a floor that nobody sees, unless what is seen reaches lower. (`fewview.layout.heights`)"""
USUAL_HEIGHT_M = 2.5
"""The same of a ceiling above the floor. (`fewview.layout.heights`)"""
REACH_TAIL = 0.5
"""Percent of the places at either end, which may be strays, where it is asked how far observation reaches."""

# Wall lines (`fewview.layout.walls`)
WALL_BIN_M = 0.01
"""Of the histogram of offsets."""
WALL_BLUR_M = 0.03
"""Of the same."""
WALL_SUPPRESSION_M = 0.12
"""Two walls that face one way are at least this far apart."""
WALL_SUPPORT_M2 = 0.35
"""Surface that a wall needs."""
OBLIQUE_LENGTH_M = 0.8
"""That an oblique wall needs to be seen: shorter ones are mostly corners that depth maps have rounded."""
WALL_COSINE = 0.35
"""Vertical part of the normal of what supports a wall, or blocks the view upright."""
WALL_MARGINS_M = (0.05, 0.02)
"""Above the floor and below the ceiling, where surface supports no wall."""
HIGH = 0.7
"""Share of the room's height above which furniture is rare: support counts double."""
FACING_DEG = 20.0
"""Between a wall's direction and the normal of what supports it."""
WALL_REACH_M = (0.06, 0.04)
"""Distances from a line within which points are averaged; within the first they are of it."""
COLUMN_M = 0.05
"""Of a wall's coverage, along it."""
ROW_M = 0.1
"""The same, upwards."""
COLUMN_SEEN = 0.15
"""Coverage from which on a column counts as seen."""

# Free space (`fewview.layout.freespace`)
SPACE_CELL_M = 0.05
"""Of the grid over the plan."""
MARGIN_M = 0.06
"""That a ray is stopped short of what it meets: depth errs..."""
MARGIN_SHARE = 0.03
"""... and this share of its length."""
BEHIND_M = 0.3
"""Behind upright surface, what no ray passes is no room."""
MIN_RAYS = 3
"""That pass a cell, or end before it, for it to count."""
AROUND_CAMERA_M = 0.2
"""Free about every camera."""
THROUGH_M = 0.3
"""What a ray meets farther than this behind a wall's plane was seen through the wall, below its lintel."""
LINTEL_M = 0.15
"""How far above such a ray the wall goes on at least."""
SLACK_M = 0.1
"""Below the floor and above the ceiling, of points that still are in the room."""
SPACE_TAIL = 0.2
"""The same, where it is asked how large the grid must be."""

# Cells and cut (`fewview.layout.floorplan`, `fewview.layout.arrangement`)
FREE_PER_M2 = 6.0
"""Cost of calling outside what was looked through."""
BEHIND_PER_M2 = 4.0
"""Cost of calling inside what lies behind surfaces."""
UNKNOWN_PER_M2 = 0.03
"""Cost of calling outside what nothing is known about: of two boundaries of one length the simpler encloses more."""
OPEN_PER_M = 1.2
"""Cost of a boundary where no wall was seen."""
WALL_PER_M = 0.08
"""The same where a wall is fully seen."""
LINE_PER_M = 0.5
"""The same on the line of a large wall, where it was not seen itself."""
FACED_PER_M = 0.4
"""Cost of calling outside what a seen wall faces: whoever sees a wall's front is in the room with it."""
LARGE_M2 = 5.0
"""Of a wall that is fully large."""
BACK_M = 0.75
"""A wall that was not seen is this far behind the rearmost camera: an arm, a person, half a step."""
VIRTUAL_GAP_M = 0.25
"""Virtual lines keep this far from walls."""
SAME_LINE_M = 0.03
"""Parallel lines nearer than this are one: else they would make slivers."""
ON_LINE_M = 0.04
"""A wall this near to a line lies on it (more than `SAME_LINE_M`, which moves it)."""
ALONG_COSINE = 0.95
"""A wall ends the view along an axis unless it runs across it by this."""
PARALLEL = 1e-3
"""Sine of the angle between lines that are parallel. (derived: rounding)"""
APART_M = 1e-6
"""Between places that are two. (derived: rounding)"""

# Polygon and fit (`fewview.layout.polygon`, `fewview.layout.estimate`)
MIN_JOG_M = 0.1
"""Shorter edges between parallel ones are dropped."""
GENTLE_DEG = 28.0
"""Oblique walls that meet at less are one wall, which depth maps have bent."""
SLIGHT_DEG = 12.0
"""Any two that meet at less are one."""
OBLIQUE_DEG = 2.0
"""From the axes, of a wall that does not follow them."""
OBLIQUE_REACH_M = 0.12
"""From an oblique line to the points that turn it."""
OBLIQUE_POINTS = 30
"""That it takes to turn it."""
FIT_SCALE_PRIOR = 0.01
"""Standard deviation of a view's depth scale in the joint fit."""
FIT_OFFSET_PRIOR_M = 1.0
"""Standard deviation of a line's offset in the joint fit: hardly any belief."""
FIT_REACH_M = (0.1, 0.06)
"""Distance from an edge of its points, in the first round and the last."""
FIT_NOISE_M = 0.01
"""What a square metre of surface says of a line, one standard deviation."""
EDGE_END_M = 0.02
"""Beyond an edge's ends, of points that are still its."""
SUPPORT_REACH_M = 0.1
"""Between a seen wall and the edge that it supports."""
WALL_SEEN_M = 0.08
"""Distance from a wall of the surface that says how much of it was seen."""
SHARE_COLUMN_M = 0.1
"""Of the columns in which that is counted."""
OBSERVED_SHARE = 0.2
"""Of a wall's length that surface must support for it to be observed."""

# Is it a room? (`fewview.layout.doubt`)
MIN_EXPLAINED = 0.3
"""Share of the observed surface that lies on floor, ceiling and walls."""
MIN_ENCLOSED_DEG = 60.0
"""Of the horizon that observed walls fill."""
MIN_ENCLOSED_OPEN_DEG = 200.0
"""The same where no ceiling is seen: courtyards and niches have walls, too."""
MIN_LONGEST = 0.1
"""Share of the perimeter of the longest observed wall: a carved facade gives shards only (under .08 on a fountain
in a niche), and rooms of up to ten corners, of which half was seen, .18 and more."""
MIN_CEILING = 0.02
"""Share of the plan below a ceiling; the underside of a ledge is less."""
MIN_CEILING_ALONE = 0.2
"""The same where no floor is seen: the eaves around a courtyard are less."""
MIN_FACING_DEG = 30.0
"""Between walls that face different ways."""
SHELL_REACH_M = 0.1
"""From floor, ceiling and walls to the surface that lies on them."""
SHELL_CELL_M = 0.1
"""Of the plan, in which seen floor and ceiling are counted."""

# Seams on image edges (`fewview.layout.lines`)
SEAM_STEP_PX = 3
"""Between the places of a seam that are looked at."""
SEAM_PIECE_PX = 45
"""Length of the pieces of a seam that look for their edge on their own."""
SEAM_REACH_M = 0.08
"""How far from where depth puts it a seam is sought."""
SEAM_CONTRAST = 0.012
"""Least mean gradient along a piece, per pixel, of an image in [0, 1]."""
SEAM_PROMINENCE = 2.5
"""Multiple of the median response along the search that an edge has."""
SEAM_HIDDEN = 0.06
"""Relative depth by which something stands before a seam."""
SEAM_SHELL = 0.03
"""The same of the layout itself."""
SEAM_NEAR_M = 0.05
"""Least depth of what is looked at."""
SEAM_PRIOR_M = 0.06
"""Standard deviation of the planes that depth alone gives."""
SEAM_SIGMAS_PX = (4.0, 2.5, 1.5, 1.0)
"""Of the robust error, round by round."""
SEAM_WEIGHT = 0.5
"""Pieces of one seam in one photo err together: each counts less than an independent measurement."""

# Doors and windows (`fewview.layout.openings`)
OPENING_CELL_M = 0.04
"""Of the grid on a wall."""
OPENING_LONG_SIDE_PX = 400
"""Of the grid of rays that each view is asked for."""
OPENING_NOISE_M = 0.03
"""Of depth: what is nearer behind the wall than one and a half times this..."""
OPENING_NOISE_SHARE = 0.01
"""... and this share of the depth is the wall itself."""
OPENING_SAME = 0.08
"""Relative depth within which a view sees the layout; its scale there is set to 1."""
REVEAL_M = 0.2
"""Walls are thinner: an opening is one where half of its rays end farther behind."""
UNKNOWN_VALUE = -0.5
"""Value of a cell that no ray tells about: an opening covers few of them."""
KNOWN_WEIGHT = 0.05
"""Rays, weighed by their confidence, that a cell needs."""
BRIDGE = 5
"""Cells: an unknown strip of an opening that is narrower does not split it."""
MIN_SIDE_M = 0.4
"""Of an opening."""
MIN_AREA_M2 = 0.25
"""Of an opening."""
MIN_OPEN = 0.75
"""Share of an opening's known cells that are open."""
MIN_KNOWN = 0.6
"""Share of its cells that are known."""
MIN_FRAME = 0.5
"""Share of the known cells around it that are wall."""
FRAME_M = 0.16
"""Width of what must be wall around an opening."""
SILL_M = 0.3
"""What begins lower reaches to the floor: just above it, rays end on the floor behind."""
DOOR_WIDTH_M = 1.3
"""Of a door at most."""
DOOR_HEIGHT_M = 1.7
"""Of a door at least."""
MIRROR_REACH_M = 0.05
"""From what is seen in the room to what a mirror shows of it..."""
MIRROR_REACH_SHARE = 0.04
"""... and this share of how far behind the mirror it seems to be."""
ACROSS_COSINE = 0.2
"""Between the normals of two walls that run across each other."""
DEEP_M = 1.0
"""Behind an opening, beyond which more depth says no more."""
EDGE_SHARE = 0.15
"""Of an opening's width and height, just inside its edges."""
AGREE_SHARE = 0.03
"""Relative depth within which two views see the same behind a wall."""
INDOOR_POINTS = 20_000
"""Ends of rays in the room that mirrored ones are compared with, at most."""
DRAWN = 0.5
"""Probability below which an opening is none. (derived: it is a probability)"""
