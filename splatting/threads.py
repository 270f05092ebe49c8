"""Which threads do what while splats are rendered and optimised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_torch_thread() -> Iterator[int]:
    """Leaves the cores to the project's kernels, and yields how many threads those shall use.

    What torch itself does in a training step is small; its second thread gains little there and, spinning between
    calls, takes a core from the kernels.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
