"""A map over parquet shards and a merge of what it gives, in Hamilton: `Parallelizable` and `Collect`, in one process.

A path is a string to its cache, whatever the file holds, so that its user passes the time of the last change along and
has the list of files made anew each time. It has no tree to merge in; one call merges all. A cached item takes longer the more
there are (2.5 ms at 4,000), so that it is not given 10,000.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"

import hamilton_shards
from hamilton import driver
from hamilton.execution.executors import SynchronousLocalTaskExecutor
from shard_work import answer, counts

LIBRARY = "apache-hamilton"

executed = counts


def run(store: Path, size: int) -> dict[str, int]:
    builder = driver.Builder().with_modules(hamilton_shards).with_cache(str(store))
    builder = builder.enable_dynamic_execution(allow_experimental_mode=True)
    made = builder.with_remote_executor(SynchronousLocalTaskExecutor()).build()
    return answer(made.execute(["merge"], inputs={"store": str(store)})["merge"])
