"""Where nginx answers bgd."""

import ipaddress

from bgd.proxy.nginx import door
from bgd.proxy.nginx.nginx import _version


def test_each_structure_has_addresses_of_its_own() -> None:
    """Whatever the structure, its fronts are at different addresses of loopback, and never at 127.0.*."""
    seen = {door.address(f"{structure:016x}", number) for structure in range(500) for number in range(20)}

    assert len(seen) == 500 * 20
    assert all(ipaddress.ip_address(each).is_loopback for each in seen)
    assert not any(each.startswith(("127.0.", "127.255.")) or each.endswith((".0", ".255")) for each in seen)


def test_the_last_of_all_is_followed_by_the_first() -> None:
    """The fronts of one structure are a row of addresses, however long."""
    row = [ipaddress.ip_address(door.address("a", number)) for number in range(300)]

    assert len(set(row)) == 300


def test_versions_are_compared_by_number() -> None:
    """1.27.4 is older than 1.30, and newer than 1.9."""
    assert _version("1.9.15") < _version("1.27.4") < _version("1.30.0")
