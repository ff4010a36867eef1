"""Reaching a Ray cluster, or starting one on this machine alone."""

from __future__ import annotations

import importlib.util
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from medlocker.errors import InputError, MissingExtraError

_OBJECT_STORE_BYTES = 100 * 10**6
"""Of a cluster on this machine: what travels is small, images never do."""
_ADDRESS = "RAY_ADDRESS"
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray writes news of lost workers to standard output, which is the command's own
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",
}
_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


def check_ray() -> None:
    """Refuse to go on without Ray.

    Raises:
        MissingExtraError: If it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError("ray", "ray")


def connect() -> Callable[[], None]:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start one here; returns what ends the connection.

    Ray's usage reports and its dashboard stay off. Whoever reaches the ports of a cluster can run programs on
    it, and Ray opens them on all interfaces: the one that is started here takes a random token.

    Raises:
        MissingExtraError: If Ray is not installed.
        InputError: If there is no such cluster.
    """
    check_ray()
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    address = os.environ.get(_ADDRESS, "")
    if address.startswith("ray://"):
        raise InputError(
            f"{_ADDRESS}: expected host:port of a cluster with this machine, got a client's address",
            hint="run `medlocker protect` on a machine of the cluster",
        )
    token = {} if address else _token()
    os.environ.update(token)
    import ray  # optional library

    def leave() -> None:
        ray.shutdown()
        for name in token:
            os.environ.pop(name, None)

    if ray.is_initialized():
        return lambda: None
    try:
        if address:
            ray.init(address="auto", **_QUIET)
        else:
            ray.init(
                address="local", include_dashboard=False, object_store_memory=_OBJECT_STORE_BYTES, **_QUIET
            )
    except Exception as error:  # Ray raises the classes of many libraries
        leave()
        if address:
            raise InputError(
                f"cannot join the Ray cluster that {_ADDRESS} names",
                hint="`ray status` on this machine should know it, with the same versions of Ray and Python",
            ) from error
        raise InputError("cannot start Ray on this machine") from error
    return leave


def _token() -> dict[str, str]:
    if any(name.startswith("RAY_AUTH_") for name in os.environ):
        return {}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def places(resources: Iterable[Mapping[str, float]]) -> tuple[int, dict[str, int]]:
    """Return how many workers machines hold, and what each worker takes of its machine.

    One worker a CPU; where there are GPUs, one a GPU, and machines without one are left out.

    Args:
        resources: Of each machine, as Ray tells them.
    """
    machines = list(resources)
    gpus = sum(int(min(machine.get("GPU", 0), machine.get("CPU", 0))) for machine in machines)
    if gpus:
        return gpus, {"num_cpus": 1, "num_gpus": 1}
    return sum(int(machine.get("CPU", 0)) for machine in machines), {"num_cpus": 1}


def cluster_places() -> tuple[int, dict[str, int]]:
    """Return :func:`places` of the machines that are there now."""
    import ray  # optional library

    nodes: list[dict[str, Any]] = ray.nodes()
    return places(node["Resources"] for node in nodes if node["Alive"])
