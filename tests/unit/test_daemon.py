"""What the daemon works out for itself before it starts."""

import threading
from pathlib import Path
from typing import cast

import pytest
import structlog

from bgd.daemon import Unusable, _node
from bgd.host.state import StateDirectory
from bgd.store.client import Client


class Agent:
    def __init__(self, name: str) -> None:
        self._name = name

    def agent(self) -> tuple[str, str]:
        return self._name, "1.8.7"


def node(agent: str, state: StateDirectory) -> str:
    client = cast(Client, Agent(agent))
    return _node(client, state, structlog.get_logger("bgd"), threading.Event())


def test_the_agents_name_is_the_nodes(tmp_path: Path) -> None:
    """A node without a name of its own is called as Consul's agent is, also when Consul is away later."""
    state = StateDirectory(tmp_path)
    assert node("lb-1", state) == state.node == "lb-1"


@pytest.mark.parametrize("name", ["LB-1", "lb_1", "-lb", "l" * 65, ""])
def test_an_agents_name_that_no_node_can_have_is_told(tmp_path: Path, name: str) -> None:
    """An agent's name that is no name for a node is not taken: the setting that cures it is named."""
    state = StateDirectory(tmp_path)
    with pytest.raises(Unusable, match=r"node: is not set.*set node in bgd\.toml"):
        node(name, state)
    assert not state.node
