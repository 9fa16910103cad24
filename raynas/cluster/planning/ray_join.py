"""Joining the cluster that RAY_ADDRESS names; why that fails is told in a sentence."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from raynas.cluster.planning.ray_start import first_line
from raynas.cluster.ray_internals import is_other_version
from raynas.errors import UserError


@contextmanager
def joined(address: str, **messages: Any) -> Iterator[None]:
    """Join a cluster; leave it at the end.

    Args:
        address: HOST:PORT of its head, or auto.
        messages: Ray's arguments on what it prints.

    Raises:
        UserError: None answers there, or it does not let this process in.
    """
    _refuse_silent(address)
    import ray  # noqa: PLC0415 - after the environment is set

    try:
        ray.init(address, **messages)
    except Exception as error:
        raise _refusal(address, error) from error
    try:
        yield
    finally:
        ray.shutdown()


def _refuse_silent(address: str) -> None:
    """Refuse an address where nothing listens at once; Ray itself would try for a minute."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(
            f"RAY_ADDRESS {address}: wanted HOST:PORT of the cluster's head, such as "
            "10.0.0.1:6379, or auto; unset RAY_ADDRESS to run on this machine alone"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise _no_answer(address) from error


def _refusal(address: str, error: Exception) -> UserError:
    """Return the sentence on what kept this process from joining."""
    import ray  # noqa: PLC0415 - after the environment is set

    if isinstance(error, ConnectionError) and address == "auto":
        return _no_answer(address)
    if isinstance(error, ConnectionError):  # something listens there
        return UserError(
            f"RAY_ADDRESS {address}: what listens there is no Ray cluster, or one that asks for "
            "another token; correct the address, or set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN "
            "or ~/.ray/auth_token to what its nodes have"
        )
    if is_other_version(error):
        words = " ".join(str(error).split())
        return UserError(f"RAY_ADDRESS {address}: {words} Install the same versions.")
    if isinstance(error, ray.exceptions.AuthenticationError):
        return UserError(
            f"RAY_ADDRESS {address}: that cluster asks for a token, and this one is missing or "
            "another; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or ~/.ray/auth_token to what "
            "its nodes have"
        )
    return UserError(
        f"RAY_ADDRESS {address}: Ray cannot join from here ({first_line(error)}); run this on a "
        "node of the cluster as the user who started it, submit it (ray job submit), or unset "
        "RAY_ADDRESS to run on this machine alone"
    )


def _no_answer(address: str) -> UserError:
    return UserError(
        f"RAY_ADDRESS {address}: no Ray cluster answers there; start one, or unset RAY_ADDRESS to "
        "run on this machine alone"
    )
