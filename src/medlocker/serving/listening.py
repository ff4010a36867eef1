"""The socket that a server listens on."""

from __future__ import annotations

import socket

from medlocker.errors import InputError

LOOPBACK = "127.0.0.1"
_WAITING = 128


def listening(port: int, *, address: str = LOOPBACK, option: str = "--port") -> socket.socket:
    """Return a socket that already listens: who asks at once waits.

    Args:
        port: 1 to 65535; 0 takes a free one.
        address: Number of this machine's, IPv4 or IPv6.
        option: What messages call it.

    Raises:
        InputError: If the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # told that it is TCP, asyncio sends what is small without waiting for the other side: 40 ms a page
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(_WAITING)
    except OSError as error:
        listener.close()
        reason = (error.strerror or "cannot be used").lower()
        raise InputError(f"port {port}: {reason}", hint=f"choose another {option}, or none") from error
    return listener
