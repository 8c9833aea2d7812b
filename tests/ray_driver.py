"""A program that runs calls on Ray, for tests that end it or look at what it prints.

`ray_driver.py STORE FOLDER COUNT SECONDS [ADDRESS]` says `started`, and then what the session did: how many calls were executed.
"""

from __future__ import annotations

import sys

import lineage as ln
import ray_nodes as nodes
from lineage.executors.ray import Ray
from lineage.testing import EventLog


def main(store: str, folder: str, count: str, seconds: str, address: str | None = None) -> None:
    log = EventLog()
    executor = Ray(address) if address else Ray(cpus=2)
    with ln.Session(store, executors={"default": executor}, on_event=log, progress=False) as session:
        session.compute(nodes.increment(0))
        print("started", flush=True)
        session.compute([nodes.marked(x, folder, float(seconds)) for x in range(int(count))])
        print(sum(name == "executed marked" for name in log.names()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
