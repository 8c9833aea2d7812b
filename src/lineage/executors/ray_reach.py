"""Whether the machines of a Ray cluster can carry out calls at all, found out before any is handed to them.

Ray waits without end for a worker whose interpreter is not there, and so would a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lineage.errors import ExecutorError
from lineage.executors.reach import check_found, look_around, marked

__all__ = ["check_machines"]


def check_machines(
    ray: Any, nodes: Iterable[Mapping[str, Any]], store: Any, runtime_env: dict[str, Any] | None, *, limit: float
) -> None:
    """Start a worker in `runtime_env` on each of `nodes`, and check that it has what it needs within `limit` seconds.

    Raises:
        ExecutorError: it did not start, has no `lineage` or another Python, or does not reach the store.
    """
    with marked(store) as marker:
        task = ray.remote(num_cpus=0, max_retries=0, runtime_env=runtime_env)(look_around)
        places = {_on(task, node["NodeID"]).remote(marker): _shown(node) for node in nodes}
        if not places:
            return
        done, late = ray.wait(list(places), num_returns=len(places), timeout=limit)
        try:
            for reference in done:
                found = _found(ray, reference, places[reference])
                if found is not None:
                    check_found(found, places[reference], store)
            for reference in late:
                python = (runtime_env or {}).get("py_executable", "of the cluster")
                raise ExecutorError(
                    f"{places[reference]} started no worker within {limit:g} s. Is the interpreter {python} there, "
                    f"with Ray {ray.__version__} in it? Name another with Ray(..., python=...)"
                )
        finally:
            for reference in late:
                ray.cancel(reference, force=True)


def _on(task: Any, machine: str) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(machine, soft=False))


def _shown(node: Mapping[str, Any]) -> str:
    return f"the machine {node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _found(ray: Any, reference: Any, where: str) -> Mapping[str, Any] | None:
    """Return what a worker found; None if its machine is no longer there, so that nothing will be handed to it."""
    errors = ray.exceptions
    try:
        found: Mapping[str, Any] = ray.get(reference)
    except (errors.TaskUnschedulableError, errors.NodeDiedError, errors.WorkerCrashedError):
        return None
    except errors.RayError as error:
        if "No module named 'lineage" in str(error):
            raise ExecutorError(
                f"{where} has no lineage: install it there, or name an interpreter that has it with Ray(..., python=...)"
            ) from error
        raise ExecutorError(f"{where} can't start workers: {error}") from error
    return found
