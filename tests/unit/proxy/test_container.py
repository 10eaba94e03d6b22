"""A container that the proxy runs in: which files a pattern means, and why a container cannot be reached."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import NotFound

from bgd.proxy.container import Container, _listen
from bgd.proxy.out_of_reach import OutOfReach

FOLDER = Path("/var/lib/bgd/haproxy")
RUNS = {"Running": True, "Paused": False, "Restarting": False, "Status": "running", "Pid": os.getpid()}


class Client:
    """Stands for Docker's library: gives what an engine would say of one container."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.api, self.asked, self.silent = self, 0, False
        self.api_version = "1.41"
        self._facts = facts
        self.ended: dict[str, Any] | None = {"Running": False, "ExitCode": 0}

    def inspect_container(self, name: str) -> dict[str, Any]:
        self.asked += 1
        if self.silent:
            raise TimeoutError("Read timed out.")
        return self._facts

    def exec_create(self, name: str, words: list[str]) -> dict[str, str]:
        return {"Id": "begun"}

    def exec_start(self, begun: str, *, stream: bool) -> Iterator[bytes]:
        return iter([b"Configuration file is valid"])

    def exec_inspect(self, begun: str) -> dict[str, Any]:
        if self.ended is None:
            raise NotFound("No such exec instance")
        return self.ended

    def close(self) -> None:
        return


def mount(source: object = FOLDER, destination: object = FOLDER, *, writable: bool = True) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Destination": str(destination), "RW": writable}


def container(*mounts: dict[str, Any], network: str = "host", **more: Any) -> tuple[Container, Client]:
    state = {**RUNS, **more.pop("state", {})}
    client = Client({"State": state, "Mounts": list(mounts), "HostConfig": {"NetworkMode": network}})
    return Container("lb", lambda **_: client, **more), client


def test_a_container_that_sees_the_folder_is_in_reach() -> None:
    """The folder, or one above it, mounted where it is: nothing is wrong."""
    for mounts in ([mount()], [mount(FOLDER.parent, FOLDER.parent)], [mount("/srv", "/"), mount()]):
        container(*mounts, writes_folder=True, on_host_network=True)[0].reach(FOLDER)


@pytest.mark.parametrize(
    ("mounts", "why"),
    [
        ([], "does not see bgd's folder"),
        ([mount("/srv/bgd")], "does not see bgd's folder"),
        ([mount(FOLDER, "/etc/haproxy")], "does not see bgd's folder"),
        ([mount(), mount("/srv", FOLDER.parent)], None),
        ([mount(FOLDER.parent, FOLDER.parent), mount("/srv/bgd", FOLDER)], "does not see bgd's folder"),
        ([mount(FOLDER / "bgd.cfg", FOLDER / "bgd.cfg")], "by itself"),
        ([mount(), mount(FOLDER / "bgd.cfg", "/etc/haproxy/conf.d/bgd.cfg")], "by itself"),
        ([mount(writable=False)], "may not write"),
    ],
)
def test_what_a_container_cannot_see_is_refused(mounts: list[dict[str, Any]], why: str | None) -> None:
    """A folder that is not mounted, mounted elsewhere, read-only, or file by file: with the cure."""
    reached, _ = container(*mounts, writes_folder=True)
    if why is None:
        reached.reach(FOLDER)
        return

    with pytest.raises(OutOfReach, match=why) as refused:
        reached.reach(FOLDER)

    assert f"-v {FOLDER}:{FOLDER}" in str(refused.value)
    assert refused.value.strerror == str(refused.value)


def test_a_read_only_folder_is_enough_where_the_proxy_writes_nothing() -> None:
    """nginx only reads."""
    container(mount(writable=False))[0].reach(FOLDER)


def test_a_network_of_its_own_is_refused_where_bgd_asks_on_loopback() -> None:
    """nginx's proof is on addresses of loopback: a container that has its own cannot be asked."""
    with pytest.raises(OutOfReach, match="--network host"):
        container(mount(), network="bridge", on_host_network=True)[0].reach(FOLDER)

    container(mount(), network="bridge")[0].reach(FOLDER)


@pytest.mark.parametrize(
    ("state", "cure", "alive"),
    [
        ({"Running": False, "Status": "exited"}, "docker start lb", False),
        ({"Paused": True}, "docker unpause lb", True),
        ({"Restarting": True}, "docker logs lb", False),
    ],
)
def test_a_container_that_does_not_run_is_named_with_the_cure(
    state: dict[str, Any], cure: str, alive: bool
) -> None:
    """Stopped, paused, dying again and again: each has a command that helps."""
    stopped, _ = container(mount(), state=state)

    with pytest.raises(OutOfReach, match=cure):
        stopped.reach(FOLDER)
    with pytest.raises(OutOfReach, match=cure):
        stopped.signal("HUP", Path())
    assert cure in stopped.run(["nginx", "-t"], 1.0)
    assert stopped.alive(Path()) == alive


def test_what_is_well_is_asked_once_a_second_and_what_failed_at_once() -> None:
    """Looking each second costs one question; after a refusal the next look asks anew."""
    well, client = container(mount())
    for _ in range(5):
        well.reach(FOLDER)

    assert (client.asked, well.process(Path())) == (1, os.getpid())

    wrong, client = container()
    for _ in range(3):
        with pytest.raises(OutOfReach):
            wrong.reach(FOLDER)

    assert client.asked == 3


def test_a_silent_docker_is_no_lost_proxy() -> None:
    """While the container's process lives, what was known of it stands; it is asked again later."""
    lives, client = container(mount())
    lives.reach(FOLDER)
    client.silent = True
    with pytest.raises(OutOfReach, match="does not answer"):
        lives.signal("HUP", Path())
    for _ in range(5):
        lives.reach(FOLDER)

    assert client.asked == 3
    assert lives.process(Path()) == os.getpid()
    assert lives.alive(Path())


def test_a_silent_docker_and_no_process_is_told() -> None:
    """Where nothing is known of the container, or its process has ended, Docker's silence is the reason."""
    never_seen, client = container(mount())
    client.silent = True
    with pytest.raises(OutOfReach, match="does not answer"):
        never_seen.reach(FOLDER)
    assert never_seen.alive(Path())

    ended, client = container(mount(), state={"Pid": 1 << 30})
    ended.reach(FOLDER)
    client.silent = True
    with pytest.raises(OutOfReach):
        ended.signal("HUP", Path())
    with pytest.raises(OutOfReach, match="does not answer"):
        ended.reach(FOLDER)
    assert not ended.alive(Path())


def test_only_an_exit_code_makes_a_check_content() -> None:
    """A check whose container was taken away before it ended has not passed, whatever it said."""
    checked, client = container(mount())

    assert checked.run(["haproxy", "-c"], 1.0) == ""
    client.ended = None
    assert checked.run(["haproxy", "-c"], 1.0) == "cannot run haproxy: container lb ended before it did"


def test_one_that_was_given_up_is_waited_for() -> None:
    """Docker ends no command: while one still runs there is no second, and then there is again."""
    checked, client = container(mount())
    client.ended = {"Running": True, "ExitCode": None}

    assert checked.run(["haproxy", "-c"], 0.05) == "haproxy did not end within 0.05 s"
    assert "still runs in container lb" in checked.run(["haproxy", "-c"], 0.05)
    client.ended = {"Running": False, "ExitCode": 137}
    assert checked.run(["haproxy", "-c"], 0.05) == "Configuration file is valid"


def test_a_terminal_obeys_nothing_that_a_command_says() -> None:
    """What a command says is shown without control characters, and no more of it than people read."""
    assert _listen(iter([b"one\x1b[2J\n", b"two\xff\n"]), 0.0) == "one [2J\ntwo�"
    assert len(_listen(iter([b"x" * 40_000] * 3), 0.0)) == 1 << 16
