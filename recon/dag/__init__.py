"""The stage runner: order, keys, cache, resume, manifest, child processes. It knows nothing of 3D."""

from fewview.recon.dag.isolate import RemoteError, run_isolated
from fewview.recon.dag.manifest import Manifest, StageEntry
from fewview.recon.dag.runner import run_stages
from fewview.recon.stage import Stage

__all__ = ["Manifest", "RemoteError", "Stage", "StageEntry", "run_isolated", "run_stages"]
