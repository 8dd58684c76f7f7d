"""Python's garbage collector, kept out of the way of a quick start.

Knows: that what is made while modules and checkpoints load is there to stay. Does not know: what is loaded.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """No collection inside, and none afterwards of what was made inside.

    The collector would go through torch's half a million objects again and again while they come, which takes a tenth
    of the time in which torch is imported; and once more with every full collection later on.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
