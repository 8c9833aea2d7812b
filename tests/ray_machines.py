"""A cluster of several machines, played by one: each machine is a process of this script with a raylet of its own, on loopback.

`ray_machines.py head CPUS` and `ray_machines.py machine CPUS ADDRESS` say where they are, in one line, and end with their standard
input.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

ENVIRONMENT = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
_SOON = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 300,
    "health_check_failure_threshold": 3,
    "worker_register_timeout_seconds": 8,
}


def main(kind: str, cpus: str, address: str | None = None) -> None:
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    given: dict[str, Any] = {
        "num_cpus": int(cpus), "num_gpus": 0, "object_store_memory": 80 << 20, "min_worker_port": 0, "max_worker_port": 0,
        "node_ip_address": "127.0.0.1", "include_log_monitor": False,
    }  # fmt: skip
    if kind == "head":
        given |= {"include_dashboard": False, "_system_config": _SOON}
    else:
        given |= {"gcs_address": address, "node_manager_port": 0, "dashboard_agent_listen_port": None}
    node = Node(RayParams(**given), head=kind == "head", shutdown_at_exit=True, spawn_reaper=True)
    raylet = node.all_processes["raylet"][0].process.pid
    print(json.dumps({"address": node.gcs_address, "machine": node.node_id, "raylet": raylet}), flush=True)
    sys.stdin.read()
    node.kill_all_processes(check_alive=False, allow_graceful=False)


class Machine:
    """One machine of the cluster that others play."""

    def __init__(self, token: str, kind: str, cpus: int, address: str = "", hidden: Path | None = None) -> None:
        command = [sys.executable, __file__, kind, str(cpus), *([address] if address else [])]
        if hidden is not None:  # a folder that is another one there
            quoted = " ".join(command)
            command = ["unshare", "-m", "sh", "-c", f"mount -t tmpfs none {hidden} && exec {quoted}"]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **ENVIRONMENT, "RAY_AUTH_TOKEN": token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.address: str = said["address"]
        self.name: str = said["machine"]
        self.raylet: int = said["raylet"]

    def close(self) -> None:
        self._process.communicate()


def new_token() -> str:
    return secrets.token_hex(32)


if __name__ == "__main__":
    main(*sys.argv[1:])
