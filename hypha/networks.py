"""Network addresses, and which of them share an allowance."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

LOOPBACK = "127.0.0.1"
_OWN_PREFIX = 64
_TRANSLATED = int(ip_network("64:ff9b::/96").network_address) >> 32


def throttled(address: str) -> str:
    """What shares one allowance with an address: itself, or the IPv6 network of its /64.

    Whoever has one IPv6 address has the others of that network too.
    """
    if ":" not in address:  # asked for at every request; IPv4 has one spelling
        return address
    parsed = parse_address(address)
    if not isinstance(parsed, IPv6Address):
        return address if parsed is None else str(parsed)
    return str(ip_network((int(parsed), _OWN_PREFIX), strict=False))


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone; other names may lead elsewhere."""
    address = parse_address(host)
    return host == "localhost" if address is None else address.is_loopback


def is_meant_here(host: str) -> bool:
    """Whether a host is meant to be this machine (RFC 6761, 6.3)."""
    return is_loopback(host) or host.endswith(".localhost")


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address; IPv4 inside IPv6 is the IPv4 address. None if it is none."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (isinstance(found, IPv6Address) and found.ipv4_mapped) or found


def is_of_internet(text: str) -> bool:
    """Whether an address is of a machine of the internet: none of this one, of a private network or a group.

    What an IPv6 address leads to by way of a translator (RFC 6052, 3056, 4380) counts as the address itself.
    """
    found = parse_address(text.partition("%")[0])
    if isinstance(found, IPv6Address):
        if int(found) >> 32 in (0, _TRANSLATED):
            found = IPv4Address(int(found) & 0xFFFF_FFFF)
        else:
            found = found.sixtofour or (found.teredo[1] if found.teredo else found)
    if isinstance(found, IPv6Address) and found.is_site_local:
        return False
    return found is not None and found.is_global and not found.is_multicast


def reachable_host(listening: str) -> str:
    """How a client on the same machine writes the host in a URL, for the address that is listened on.

    All addresses of the machine are reached by its loopback address of the same family.
    """
    text = listening.strip().strip("[]")
    address, _, zone = text.partition("%")
    try:
        found = ip_address(address)
    except ValueError:
        return LOOPBACK if not text or set(text) <= {"0", "."} else text
    if found.is_unspecified:
        return LOOPBACK if found.version == 4 else "[::1]"
    if isinstance(found, IPv6Address):
        return f"[{found}%25{zone}]" if zone else f"[{found}]"
    return text
