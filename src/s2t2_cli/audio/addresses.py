"""Which addresses of the internet protocol are public, and whether a host has no other.

Knows: the registries' special ranges, addresses that carry another one inside. Does not know: HTTP, who may fetch what
(fetching).
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an address such as `8.8.8.8` or `fe80::1%eth0` belongs to the internet at large.

    What is private, shared, loopback, link-local, multicast or reserved does not, nor what would reach such a one
    through a translation of IPv4 to IPv6.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast and not found.is_reserved


def private_address(host: str, port: int | None) -> str | None:
    """An address of `host` that is not public, None where all are, or where the host is not known here."""
    with contextlib.suppress(OSError, UnicodeError):
        for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if not is_public(str(place[0])):
                return str(place[0])
    return None
