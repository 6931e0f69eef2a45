"""Calls need a network interface beside loopback, though not one packet leaves this machine."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from infra.local.errors import LocalError


def require_one() -> None:
    """Say at once what would otherwise show as calls that nobody can join.

    The WebRTC library of callers and agents gathers no candidates on loopback interfaces; with any other address, of
    a bridge without a network behind it as well, it reaches 127.0.0.1 (tried in a network namespace of its own).

    Raises:
        LocalError: every address of this machine is a loopback address.
    """
    status = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in status and status[name].isup and any(_usable(a.family, a.address) for a in addresses):
            return
    raise LocalError(
        "this machine has no network interface beside loopback, and WebRTC leaves loopback out: no call could be "
        "joined. Connect to a network, or make a bridge: sudo ip link add calls0 type bridge; "
        "sudo ip addr add 10.99.0.1/24 dev calls0; sudo ip link set calls0 up"
    )


def _usable(family: int, address: str) -> bool:
    return family == socket.AF_INET and not ipaddress.ip_address(address).is_loopback
