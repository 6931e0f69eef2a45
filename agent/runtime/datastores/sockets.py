"""What the kernel says of a socket of ours."""

from __future__ import annotations

import socket

INTERNET = (socket.AF_INET, socket.AF_INET6)
TCP_ESTABLISHED = 1  # linux/include/net/tcp_states.h


def has_peer(sock: socket.socket) -> bool:
    """Whether a TCP connection is there for both sides. Where the kernel cannot be asked (not Linux, no TCP), yes."""
    if not hasattr(socket, "TCP_INFO") or sock.family not in INTERNET:
        return True
    try:
        state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)  # the first byte of struct tcp_info
    except OSError:  # closed on this side
        return False
    return state[0] == TCP_ESTABLISHED
