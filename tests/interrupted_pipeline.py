"""What the tests of interrupts run in another process: `python interrupted_pipeline.py STORE EXECUTOR [COUNT]`."""

from __future__ import annotations

import json
import os
import sys
import time

import lineage as ln


@ln.node
def half(x: int) -> float:
    time.sleep(0.008)
    return x / 2


@ln.node
def listed(x: float) -> list[str]:
    return [f"{x} {i:0100d}" for i in range(60)]


@ln.node(version="1")
def deaf(x: int) -> int:
    """Take an interrupt for a failure of its own, and go on with something else."""
    try:
        print("waiting", flush=True)
        time.sleep(3)
    except BaseException:
        return -1
    return x


@ln.node(version="1")
def after(x: int) -> int:
    return x


def request(count: int) -> list[list[str]]:
    return [listed(half(x)) for x in range(count)]


def main(store: str, executor: str, count: int) -> None:
    def tell(verdict: str, node: str, _: str) -> None:
        print(f"{verdict} {node}", flush=True)

    with ln.Session(store, on_event=tell) as session:
        if executor == "deaf":
            print(session.compute(after(deaf(1))))
            return
        print(f"go {os.getpid()}", flush=True)
        value = session.compute(request(count), executor=executor)
        print(json.dumps({"right": value == [listed.fn(x / 2) for x in range(count)]}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 40)
