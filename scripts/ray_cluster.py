"""A Ray cluster of several nodes on this machine, by Ray's own utility for tests; nodes go away when told to.

    python scripts/ray_cluster.py [--nodes 3] [--cpus 1]

Prints the address to join it. Each line on standard input takes a node away, as a machine that loses its power does;
the end of standard input ends the cluster.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_MEMORY = 80 * 2**20  # bytes of each node's object store: the least that Ray accepts, nearly

# Ray makes its workers give way to everything else, which on a busy machine is to stand still; it gives a node that
# starts a minute, and one that is slow to answer ten seconds, before it takes it for dead, while it takes a quarter of
# a minute to see that one is gone; and it ends idle workers beyond the number of CPUs, of which our nodes have one.
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_num_workers_soft_limit": "4",
    "RAY_gcs_server_request_timeout_seconds": "300",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_period_ms": "1000",
}
_PATIENCE = 300.0  # seconds


class RayCluster:
    """The cluster as a process of its own, for scripts and tests."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        assert process.stdout is not None
        self.address = process.stdout.readline().strip()
        if not self.address:
            raise RuntimeError(f"the cluster did not start (exit status {process.wait()})")

    def remove_node(self) -> None:
        """Take one node away, without a word to anybody."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


@contextlib.contextmanager
def ray_cluster(nodes: int = 3, cpus: int = 1) -> Iterator[RayCluster]:
    """A cluster that ends with the context."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--nodes", str(nodes), "--cpus", str(cpus)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=os.environ | _SETTINGS,
    )  # fmt: skip
    try:
        yield RayCluster(process)
    finally:
        process.communicate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--cpus", type=int, default=1)
    arguments = parser.parse_args()
    from ray.cluster_utils import Cluster

    # What it has to say of itself goes where words go.
    output, sys.stdout = sys.stdout, sys.stderr
    settings = {"num_cpus": arguments.cpus, "object_store_memory": _MEMORY}
    cluster = Cluster(initialize_head=True, head_node_args=settings | {"include_dashboard": False})
    nodes = [cluster.add_node(wait=False, **settings) for _ in range(arguments.nodes - 1)]
    cluster.wait_for_nodes(_PATIENCE)
    print(cluster.address, file=output, flush=True)
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("gone", file=output, flush=True)
    cluster.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
