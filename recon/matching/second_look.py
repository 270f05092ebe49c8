"""Which photos deserve a dearer look: those that nothing certain ties to the others.

Twice the keypoints at the same size, which take three times as long to match, were chosen by eight pairs of kitchen25
(every 4th): 2,048 find 2,443 matches that are right by the true cameras and 447 others, 4,096 find 7,702 and 751, and
49, 97 and 128 right ones of the three weakest become 220, 519 and 658. Tried, and left: DISK with its LightGlue at
2,048 (2,592 and 330; of those three pairs 38, 2 and 268; 8.1 s of detection a photo instead of 1.8), ALIKED at 640 px
(39, 457 and 59), and matching along the epipolar lines of what was verified (no further right match in 15 pairs, 53
right and 83 wrong ones in pi3_room8).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fewview.recon.matching.turns import Pair

_STRONG = 50
"""Certain verified matches that tie two photos for good. Of pairs of different things (two facades, two tables) in the
real sets, the best has 51; fountain, Herz-Jesu, studio and watermark hang together by stronger pairs."""
MORE_KEYPOINTS = 2
"""Times those of the first look."""
_TRIED = 3
"""Pairs of a photo that are looked at again: those with most verified matches."""


def weak_pairs(count: int, pairs: Mapping[tuple[int, int], Pair]) -> list[tuple[int, int]]:
    """Pairs that may tie photos to the others which no chain of strong pairs ties to the largest group of all.

    Args:
        pairs: of `count` photos (keys a < b).
    """
    group = np.arange(count)
    for (a, b), pair in pairs.items():
        if pair.verified.matches.certain >= _STRONG:
            group[group == group[b]] = group[a]
    largest = np.bincount(group).argmax()
    chosen = set()
    for i in np.flatnonzero(group != largest):
        across = [key for key in pairs if i in key and group[key[0]] != group[key[1]] and len(pairs[key])]
        chosen |= set(sorted(across, key=lambda key: (-len(pairs[key]), key))[:_TRIED])
    return sorted(chosen)
