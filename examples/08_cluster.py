"""Scenes as tasks of a Ray cluster (`pip install 'fewview[cluster]'`): `python 08_cluster.py SCENES OUT [OPTIONS]`.

SCENES and OUT lie on a file system that all machines share, at the same paths; on each, fewview is installed and
`ray start` was given (docs/batch.md). Without `--address`, Ray starts on this machine. A lost machine's scenes start
again on another one and continue from what was finished.
"""

import sys

from fewview.apps.cli import main

scenes, out = sys.argv[1:3]
resources = ["--threads", "2", "--gpus-per-scene", "0"]  # 0.5: two scenes share a GPU
sys.exit(main(["batch", scenes, "--out", out, "--engine", "ray", *resources, *sys.argv[3:]]))
