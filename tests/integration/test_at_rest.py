"""A fleet that nothing happens to writes nothing: Consul's raft log stands still."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.integration.consul import ConsulServer
from tests.integration.fleet_world import Fleet
from tests.integration.revert_nodes_world import nodes

TRIES = 6


def last_entry(server: ConsulServer) -> int:
    """The newest entry of the raft log, as the leader has it or will have it."""
    return int(server.ask("/v1/agent/self")["Stats"]["raft"]["last_log_index"])


def written(
    server: ConsulServer, *, after: Mapping[str, int] | None = None, wait_s: float = 0
) -> dict[str, int]:
    """Every key with its index; with those of before, when that has changed, or the wait is over."""
    query = f"&index={max(after.values())}&wait={wait_s:g}s" if after else ""
    told = server.request("GET", f"/v1/kv/bluegreen/?recurse{query}", timeout_s=2 * wait_s + 10)
    return {entry["Key"]: int(entry["ModifyIndex"]) for entry in json.loads(told)}


def assert_nothing_is_written(server: ConsulServer, rest_s: float) -> None:
    """Over so long a stretch. A machine so slow that probes fail makes news, and Consul, once in a while, an
    entry of its own: then once more."""
    for _ in range(TRIES):
        before, keys = last_entry(server), written(server)
        if written(server, after=keys, wait_s=rest_s) == keys and last_entry(server) == before:
            return
    pytest.fail("something was written all the time")


def test_a_fleet_at_rest_writes_nothing(tmp_path: Path) -> None:
    """While nothing happens, no entry is added to Consul's log, and renewing a session adds none."""
    with nodes(tmp_path, 2, far=0) as made:
        assert_nothing_is_written(made.first.consul, 6)


@pytest.mark.soak
def test_six_nodes_at_rest_write_nothing(six: Fleet) -> None:
    """Six nodes that outlive three lives of their sessions, on three servers: not one entry in a minute."""
    six.until_settled()
    assert_nothing_is_written(six.consul, 60)
