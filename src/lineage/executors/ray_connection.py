"""The place of this process in a Ray cluster: one that it started for itself, one that it joined, or the one it was in.

A process can be in one cluster at a time, so what is started or joined here is shared by all executors of the process, and
left with the last of them. A cluster of one's own listens on loopback only and admits nobody without its token, which is
made for it and stands in no file. It ends with this process, however that ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from lineage.errors import ExecutorError
from lineage.executors.machines import Amounts

__all__ = ["Connection", "connect", "import_ray"]

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
"""Nothing is reported to anybody, and nothing of Ray's own is written to the driver's terminal."""

_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Under this name, which tells where it is the default, Ray keeps everything on the loopback interface."""

_KNOCK = 10.0
"""Seconds within which a cluster that is to be joined has to answer."""

_token = secrets.token_hex(32)


def import_ray() -> Any:
    """Return the module `ray`.

    Raises:
        ExecutorError: it is not installed.
    """
    try:
        with _environment(_QUIET), _own_streams():
            import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ExecutorError(
            "lineage.Ray needs Ray, which is not installed; install lineage-graph[ray]", extra="ray"
        ) from None
    return ray


class Connection:
    """A cluster that this process is in. `address` is None for its own, `is_ours` says whether it is left with the last user."""

    def __init__(self, ray: Any, address: str | None, *, is_ours: bool) -> None:
        self.ray = ray
        self.address = address
        self.is_ours = is_ours
        self.users = 0

    @property
    def is_private(self) -> bool:
        """Whether the cluster is this process's own, with its environment, its interpreter and its files."""
        return self.is_ours and self.address is None

    def nodes(self) -> list[dict[str, Any]]:
        """Return what Ray tells of the machines that are there now."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def machines(self) -> list[Amounts]:
        """Return what each machine has that is there now."""
        return [node["Resources"] for node in self.nodes()]

    def may_grow_to(self) -> list[Amounts]:
        """Return what the machines have that the cluster may add, one of each kind, as far as it lets that be known."""
        try:
            from ray._private.state import state

            config = state.get_cluster_config()
        except Exception:  # not told through a client, nor by every version
            return []
        groups = config.node_group_configs if config is not None else ()
        return [dict(group.resources) for group in groups if group.max_count]

    def leave(self) -> None:
        """Leave the cluster, and end it if it is this process's own, once nobody here uses it any more."""
        global _current
        with _lock:
            self.users -= 1
            if self.users > 0:
                return
            if _current is self:
                _current = None
            if self.is_ours:
                with _no_noise():
                    self.ray.shutdown()
                _read_anew()


_lock = threading.RLock()
_current: Connection | None = None


def connect(address: str | None, amounts: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    """Return the connection of this process to the cluster at `address`, or to one of its own with `amounts` of resources whose
    processes have `environment` besides the driver's. Whoever got it leaves it.

    Raises:
        ExecutorError: there is no such cluster, or this process is in another one.
    """
    global _current
    with _lock:
        if _current is not None and not _current.ray.is_initialized():
            _current = None  # somebody else shut it down
        if _current is None:
            _current = _made(address, amounts, environment)
        elif _current.address != address and _current.is_ours:
            raise ExecutorError(
                f"this process is in the cluster {_shown(_current.address)} and can't join {_shown(address)} besides; "
                "close the executor or session that uses the first"
            )
        _current.users += 1
        return _current


def _shown(address: str | None) -> str:
    return "of its own" if address is None else f"at {address!r}"


def _made(address: str | None, amounts: Mapping[str, Any], environment: Mapping[str, str]) -> Connection:
    ray = import_ray()
    if ray.is_initialized():  # by the user, who will also shut it down
        return Connection(ray, address, is_ours=False)
    with _handlers_kept(), _own_streams(), _no_noise() as noise:
        try:
            if address is None:
                _start(ray, amounts, environment)
            else:
                _join(ray, address)
        except Exception as error:
            ray.shutdown()
            raise ExecutorError(
                f"no Ray cluster {_shown(address)}: {str(error).strip() or noise()}".rstrip(), address=address
            ) from error
    return Connection(ray, address, is_ours=True)


def _start(ray: Any, amounts: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    auth = {} if "RAY_AUTH_MODE" in os.environ else {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token}
    with _environment({**_QUIET, **_LOOPBACK, **environment, **auth}), _on_loopback():
        _read_anew()
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **amounts,
        )
    _hush()


def _join(ray: Any, address: str) -> None:
    _knock(address)
    stays_here = all(os.environ.get(name) == value for name, value in _LOOPBACK.items())
    with _environment(_QUIET), _on_loopback() if stays_here else contextlib.nullcontext():
        _read_anew()
        ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    _hush()


def _knock(address: str) -> None:
    """Raise at once where nothing listens at `address`: Ray would go on trying for minutes."""
    host, separator, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if separator and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()


def _hush() -> None:
    """Keep off the terminal what machines report when they are lost, which calls report themselves."""
    try:
        from ray._private import worker

        worker._worker_logs_enabled = False
    except (ImportError, AttributeError):
        pass


def _read_anew() -> None:
    """Let Ray look at the environment as it is now: it has kept the token, and whether one is asked for."""
    try:
        from ray._raylet import AuthenticationTokenLoader, Config  # type: ignore[attr-defined]

        Config.initialize("")
        AuthenticationTokenLoader.instance().reset_cache()
    except (ImportError, AttributeError):
        pass


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Do what `_LOOPBACK` does where Ray was imported before and has read its environment already."""
    from ray._private import ray_constants

    before = getattr(ray_constants, "ENABLE_RAY_CLUSTER", None)
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _own_streams() -> Iterator[None]:
    """Let what is imported get hold of the process's streams and not of those that stand in for them during a run."""
    with contextlib.redirect_stdout(sys.__stdout__), contextlib.redirect_stderr(sys.__stderr__):
        yield


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _handlers_kept() -> Iterator[None]:
    """Keep the user's handlers of signals, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _no_noise() -> Iterator[Any]:
    """Keep what native code writes to standard error while Ray starts or ends, and yield what returns it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)

        def written() -> str:
            kept.seek(0)
            return kept.read().decode(errors="replace").strip()

        try:
            yield written
        finally:
            os.dup2(before, 2)
            os.close(before)
