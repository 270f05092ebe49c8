"""Every threshold of this package: unit (in the name, else a share or a cost), meaning, source.

Where no source is named, a value was chosen by hand on rooms of `fewview.data.gallery`. What halving and doubling each
of them moves in other rooms is measured by `fewview bench thresholds` and listed in docs/thresholds.md. The weights of
`fewview.recon.depth.confidence` are fitted, and stand with the model that they are of.
"""

from __future__ import annotations

# Matching: which photos, and between which depths (`sources`)
FULL_WEIGHT_DEG = 6.0
"""Triangulation angle from which a shared point counts fully."""
WIDE_DEG = 25.0
"""Angle from which appearance changes too much for windows to match..."""
WIDE_FADE_DEG = 15.0
"""... beyond which weight falls as a Gaussian of this deviation."""
UNMATCHED_WEIGHT = 0.1
"""Of a point that lies in the other photo's frame but was not matched there (it may be hidden)."""
LEAST_SOURCE = 0.05
"""Share of the best source's weight below which another would rather spoil the cost than help it."""
RANGE_POINTS = 8
"""That a photo must have for its own points to tell its range of depths; else all points do."""
RANGE_TAIL = 1.0
"""Percent of the points at either end of the depths, which may be strays."""
RANGE_FACTORS = (0.6, 2.0)
"""Surfaces lie nearer and farther than the matched points: margins around the percentiles."""

# Matching: PatchMatch (`stereo`, `patchmatch`)
COARSE_ROUNDS = 4
"""Of propagation, at half the size."""
FINE_ROUNDS = 2
"""The same at full size, and in each round in which the photos' estimates meet."""
MIN_PLANES = 48
"""Of the sweep that it starts from."""
MAX_PLANES = 128
"""The same."""
FINE_SLOPE = 0.25
"""Half width of the normal's perturbation (tangent) at full size..."""
MEETING_SLOPE = 0.1
"""... and where the estimates meet."""
STEP_PX = 0.5
"""Perturbation of a depth, as its place moves in the fastest source."""
WINDOW_COLOUR = 0.12
"""Deviation of the window's weights: RGB distance, values in [0, 1]."""
GEOMETRIC_WEIGHT = 0.15
"""Cost per pixel of forward-backward error."""
GEOMETRIC_CLAMP_PX = 3.0
"""Beyond which that cost does not grow."""

# Matching: what is verified (`consistency`)
MAX_ERROR_PX = 1.5
"""Forward-backward error within which another photo agrees..."""
MAX_ERROR_RELATIVE = 0.015
"""... and difference of depths, as a share."""
MAX_COST = 0.5
"""Of matching (1 - correlation)."""
SPECKLE_PX = 60
"""Smallest connected surface that is kept, in pixels of a 512 px image."""
LEAST_SPECKLE_PX = 25
"""The same on any image: on a small one, too, a handful of pixels may agree by chance."""
SPECKLE_STEP = 0.02
"""Relative depth step that separates two surfaces."""

# One surface, one set of points (`covisibility`)
SAME_SURFACE = 0.015
"""Two depths within this share of each other are one surface."""
LEAST_FACING = 0.25
"""Cosine, squared by the footprint's mean, to which a slanted point's radius is held: at most doubled."""

# Planes of the scene (`planes`, `scene_planes`)
SAMPLES_PER_VIEW = 6000
"""Verified points that planes are sought on."""
LEAST_SAMPLES = 100
"""The same of all photos: fewer tell no planes."""
PLANE_CANDIDATES = 256
"""Tried for each plane."""
MOST_PLANES = 16
"""Largest ones."""
LEAST_SHARE = 0.008
"""Of all sampled points that a plane must explain."""
INLIER = 0.008
"""Distance of an inlier from its plane, as a share of its depth in the view that saw it."""
NORMAL_COSINE = 0.8
"""Between a plane's normal and those of its inliers."""
SQUARE_DEG = 12.0
"""Planes this close to a right angle vote for the room's directions."""
ALIGNED_DEG = 5.0
"""From the directions, of planes that speak for them."""
MOST_AXIS_PLANES = 5
"""Of each direction, and the outermost two."""
PEAK_SHARE = 0.003
"""Of the points that a peak of offsets must have to be a plane."""
SNAP_DEG = 4.0
"""A plane this close to a direction follows it..."""
SNAP_KEEPS = 0.8
"""... where it keeps this share of its points."""
OBLIQUE_WEIGHT = 0.25
"""In the search for planes along a direction, of points whose normal is another."""
LEAST_DENSE = 4
"""Points in a square of a plane (as long as `SAME_OFFSET`) that are no strays."""
SAME_OFFSET = 0.02
"""Two parallel planes nearer than this share of the median depth are one."""

# The room's shell (`shell`)
STRAY_SHARE = 0.015
"""Of the verified points that may lie behind an enclosing plane: stereo errs, and windows show what is outside."""
STRAY_REACH = 4.0
"""What lies no farther behind a plane than this, in units of its inliers' reach, counts as on it."""
EDGE_ALONG_DEG = 1.5
"""An edge this close to a vanishing direction runs along it."""
PARALLEL_DEG = 8.0
"""Planes nearer to parallel than this count as one wall."""
BORDER_FARTHEST = 3.0
"""A border is no farther than this many times the median depth of what was verified."""
LEAST_COVERED = 0.5
"""Share of the borders of a plane, as far as photos should show them, that must be edges, beyond the share that
planes around it have: wood grain and shelves are full of edges along the room."""
AROUND = (2.0, 2.75, 3.5, 4.25, 5.0)
"""How far before and behind it these planes are, in units of offset."""
LEAST_EXCESS = 0.5
"""By how much the borders that are edges must be longer than those that are not, as a share of a photo's long
side and times the photos that show such edges: the more of them agree, the less each must show."""
UPRIGHT_DEG = 30.0
"""The cameras' mean upward direction is no farther than this from up."""
LEAST_BORDER = 0.1
"""Length of edges on the borders that each of two photos must show, as a share of its long side."""
ACROSS_PX = 4.0
"""To either side of an edge, where its two colours are read."""
DIVIDES = 0.4
"""Of the typical change of colour across a border, that a place must show to be an edge of it."""
SHIFTS = 8
"""Per unit of offset, when a border is looked for more exactly."""
BORDER_BRIDGE = 0.02
"""Edges are drawn longer at both ends by this share of the long side."""
BORDER_HIDDEN = 0.05
"""A surface this share of the depth before a border hides it."""

# Completion (`completion`)
DIFFUSED = 0.3
"""How far diffusion may extrapolate from verified pixels, as a share of the long side."""
SUPERPIXELS = 700
"""Of a photo."""
COMPLETED_FARTHEST = 1.5
"""A completed surface is at most this many times as far as the farthest verified one."""
GUESSED_WEIGHT = 0.3
"""In diffusion, of what was borrowed or is a plane's."""
FIT_SCALE = 0.03
"""Relative depth difference at which a label fully disagrees with a verified pixel."""
STEP_SCALE = 0.04
"""Relative depth step at which two neighbouring labels fully disagree."""
COLOUR_SCALE = 0.25
"""RGB distance at which what another photo shows fully disagrees."""
COLOUR_UNSEEN = 0.35
"""Share of that cost where no other photo shows the place."""
CONTRAST_SCALE = 0.08
"""RGB distance across a boundary that lets neighbours differ."""
FAR_SCALE = 0.2
"""Distance from what supports a label, as a share of the long side, at which it is fully out of reach..."""
WALL_FAR_SCALE = 0.5
"""... furniture ends, but what encloses the room goes on: the same of that."""
BEYOND_SCALE = 0.1
"""Relative depth behind the enclosing planes at which a label is fully beyond them."""
W_FIT = 4.0
"""Cost of disagreeing with verified pixels."""
W_FRONT = 2.0
"""Of hiding what another photo verified."""
W_COLOUR = 1.0
"""Of another colour there."""
W_FAR = 0.6
"""Of being far from support."""
W_NEAR = 1.0
"""Of being nearer than anything verified."""
W_FREE = 0.45
"""Of not being a plane."""
W_BEYOND = 1.5
"""Of lying beyond the shell."""
W_ABSENT = 4.0
"""Of a plane that is behind the camera or too far."""
W_SMOOTH = 1.2
"""Of a depth step between neighbours."""
CHANGE_SHARE = 0.1
"""Of that, for another label without a step."""

# Completion: diffusion, labels, ways (`diffusion`, `labelling`, `reach`)
HOLD_COLOUR = 0.05
"""RGB distance at which two neighbours hold each other at 1/e of the strength."""
LEAST_HOLD = 1e-3
"""Strength across any edge."""
DATA_WEIGHT = 20.0
"""Of what is known, against the holds."""
WORKING_SIDE = 192
"""Long side of the grid that is solved; the answer is smooth but for colour edges."""
LABEL_ROUNDS = 40
"""Of belief propagation."""
LABEL_DAMPING = 0.5
"""Of its messages."""
WAY_STRIDE = 4
"""Pixels between the places between which ways are sought."""
WAY_BRIDGE = 0.5
"""Edges are drawn longer at both ends by this share of their length."""
WAY_BARRIER = 1.0
"""What crossing an edge costs, as a share of the long side."""
WAY_FARTHEST = 1.0
"""What no way leads to is as far as this share of the long side; nothing counts as farther."""

# Evidence of other photos (`evidence`)
IN_FRONT = 0.03
"""A surface that lies this share of its depth before what another photo verified would have hidden it."""
BORROW_COLOUR = 0.12
"""Largest RGB distance at which another photo's point may be one that this photo shows."""
BORROW_CONFIDENCE = 0.5
"""Of the points that are lent. (derived: the confidence is a probability)"""
BORROW_ALIKE = 0.03
"""Relative inverse depth within which a lent point is one surface with those around it..."""
BORROW_DENSE = 0.3
"""... of which there must be this share of the pixels."""
PUSH = 0.94
"""Each step along the ray multiplies inverse depth by this."""
PUSH_STEPS = 40
"""At most."""
