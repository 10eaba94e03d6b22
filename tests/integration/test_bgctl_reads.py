"""What bgctl shows, and how it ends when it cannot: on a real Consul, daemons stood in for."""

import itertools
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration import consul
from tests.integration.bgctl_world import World
from tests.integration.consul import ConsulServer, free_ports

_NUMBERS = itertools.count()


@pytest.fixture
def world(calm_consul: ConsulServer) -> Iterator[World]:
    world = World(calm_consul, f"read-{next(_NUMBERS)}")
    yield world
    world.close()


@pytest.fixture
def fleet(world: World) -> World:
    """Three nodes that serve blue; the third has died since."""
    world.live("blue")
    for node in ("lb-1", "lb-2", "lb-3"):
        world.member(node)
    world.dies("lb-3")
    return world


def test_status_of_one_app(fleet: World):
    """status APP shows what is live, both colours, and every member with what it is at."""
    ran = fleet.bgctl("status", "shop")

    assert ran.exit == 0, ran.err
    lines = ran.out.splitlines()
    assert lines[0].startswith("shop   ● blue 2.4.0 live since ")
    assert lines[0].endswith(f"generation {fleet.index('apps/shop/live')} · by consul")
    assert ["blue", "2.4.0", "3/3", "0", "up"] in [line.split() for line in lines]
    assert ["lb-1", "blue", "runtime", "3.1", "ms", "converged"] in [line.split() for line in lines]
    silent = next(line for line in lines if line.startswith("lb-3"))
    assert silent.split()[:5] == ["lb-3", "–", "–", "–", "node-silent"]
    assert silent.endswith("served blue")


def test_status_names_the_author(world: World):
    """status says who ordered what is live, and why."""
    world.bgctl("init", "shop", "--live", "blue", "--reason", "ticket 4711", SUDO_USER="alice")

    first = world.bgctl("status", "shop").out.splitlines()[0]

    assert "by alice@" in first
    assert '"ticket 4711"' in first


def test_status_of_all_apps(fleet: World):
    """status without an app is one line each, the worst first."""
    fleet.live("green", app="calm")
    fleet.tells("lb-1", "green", app="calm")
    fleet.put("apps/broken/live", "purple")

    ran = fleet.bgctl("status")

    names = [line.split()[0] for line in ran.out.splitlines()]
    assert names == ["app", "broken", "shop", "calm"]
    assert "bad-live-value" in ran.out


def test_status_for_programs(fleet: World):
    """status -o json holds every member's report as it was written, and whether it lives."""
    ran = fleet.bgctl("status", "-o", "json")

    (app,) = ran.json["apps"]
    assert ran.json["schema"] == 1
    assert (app["app"], app["live"], app["generation"]) == ("shop", "blue", fleet.index("apps/shop/live"))
    assert app["order"] is None
    assert [one["node"] for one in app["members"]] == ["lb-1", "lb-2", "lb-3"]
    assert [one["alive"] for one in app["members"]] == [True, True, False]
    assert app["members"][0]["serving"]["via"] == "runtime"


def test_who_has_left_is_no_member(fleet: World):
    """A node whose membership has ended is shown nowhere."""
    fleet.put("nodes/shop/lb-3", {"schema": 1, "gone": True, "by": "alice", "at": "2026-01-31T12:00:00Z"})

    assert "lb-3" not in fleet.bgctl("status", "shop").out


def test_an_unreadable_report_is_a_member(fleet: World):
    """A report that cannot be read is still a member, which has proved nothing."""
    fleet.put("nodes/shop/lb-2", "{torn")

    ran = fleet.bgctl("wait", "--converged", "--timeout", "100ms")

    assert ran.exit == 3
    assert "lb-2" in fleet.bgctl("status", "shop").out


def test_why_shows_reason_and_evidence(fleet: World):
    """why says for each member its reason, and what it sees of both colours."""
    fleet.tells(
        "lb-2",
        because="target-not-ready",
        detail="1/3 ready",
        green=("weak", "target-not-ready: 10.0.0.7:80: status 500"),
    )

    ran = fleet.bgctl("why", "shop")

    assert ran.exit == 0
    assert "lb-2: target-not-ready: 1/3 ready" in ran.out
    assert "10.0.0.7:80: status 500" in ran.out
    assert "lb-3: node-silent" in ran.out


def test_history_is_newest_first(fleet: World):
    """history shows the newest flips first, as many as were asked for."""
    for generation in (7, 12, 100):
        event = {"schema": 1, "what": "flip", "from": "blue", "to": "green", "by": f"op-{generation}"}
        fleet.put(
            f"history/shop/{generation}", event | {"at": "2026-01-31T12:00:00Z", "generation": generation}
        )

    ran = fleet.bgctl("history", "-n", "2", "-o", "json")

    assert [event["by"] for event in ran.json["history"]] == ["op-100", "op-12"]
    assert fleet.bgctl("history").out.splitlines()[1].split()[0] == "100"


def test_control_characters_stay_in_consul(fleet: World):
    """What stands in Consul cannot steer the terminal, whichever command shows it."""
    evil = "\x1b[2Jgone\x07\r\n\u202e"
    fleet.tells("lb-1", because="check-failed", detail=evil, release=evil)
    fleet.put("apps/shop/live", "pur\x1bple")

    for words in (["status"], ["status", "shop"], ["why"], ["status", "-o", "json"]):
        said = fleet.bgctl(*words)
        assert said.exit == 0
        assert not set("\x1b\x07\r\u202e") & set(said.out + said.err)


def test_colour_is_for_terminals_only(fleet: World):
    """Colour is used on a terminal, and never with NO_COLOR."""
    assert "\x1b[" in _on_a_terminal(fleet, "status", "shop")
    assert "\x1b[" not in _on_a_terminal(fleet, "status", "shop", NO_COLOR="1")


def _on_a_terminal(world: World, *words: str, **environment: str) -> str:
    master, slave = pty.openpty()
    environment = world.environment(TERM="xterm-256color", COLUMNS="120", **environment)
    done = subprocess.run(world.command(*words), env=environment, stdout=slave, check=True, timeout=60)
    os.close(slave)
    said = os.read(master, 65536).decode()
    os.close(master)
    assert done.returncode == 0
    assert "lb-1" in said
    return said


def test_the_one_app_need_not_be_named(fleet: World):
    """While the prefix holds one app it need not be named; with two it must, and BGCTL_APP may."""
    assert fleet.bgctl("history").exit == 0
    fleet.live("blue", app="cart")

    ran = fleet.bgctl("history")

    assert ran.exit == 2
    assert "cart, shop" in ran.err
    assert fleet.bgctl("history", BGCTL_APP="shop").exit == 0
    assert fleet.bgctl("history", "--app", "cart").exit == 0


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["status", "shpo"], "shop"),
        (["stauts"], "did you mean status"),
        (["set-live", "gren"], "did you mean green"),
        (["set-live", "green", "--timeout", "60"], "60s"),
        (["status", "--colour"], "No such option"),
        (["wait"], "--converged"),
    ],
)
def test_misuse_gets_a_sentence(fleet: World, words: list[str], hint: str):
    """What does not exist is exit 2, with a sentence that names the nearest thing that does."""
    ran = fleet.bgctl(*words)

    assert ran.exit == 2
    assert hint in ran.err
    assert ran.out == ""


def test_misuse_is_json_for_programs(fleet: World):
    """With -o json even a usage error is one JSON document on stdout."""
    ran = fleet.bgctl("-o", "json", "set-live", "purple")

    assert ran.exit == 2
    assert set(ran.json["error"]) == {"exit", "because", "detail", "cure"}


def test_no_consul_is_exit_6(world: World):
    """A Consul that is not there is exit 6, with its address and how to name another."""
    (port,) = free_ports(1)

    ran = world.bgctl("--consul-addr", f"http://127.0.0.1:{port}", "-o", "json", "status")

    assert ran.exit == 6
    assert ran.json["error"]["because"] == "store-lost"
    assert str(port) in ran.json["error"]["detail"]
    assert "--consul-addr" in ran.json["error"]["cure"]


def test_an_option_wins_over_the_environment(fleet: World):
    """--consul-addr wins over CONSUL_HTTP_ADDR."""
    (port,) = free_ports(1)
    nowhere = f"http://127.0.0.1:{port}"

    assert fleet.bgctl("status", CONSUL_HTTP_ADDR=nowhere).exit == 6
    ran = fleet.bgctl("--consul-addr", fleet.consul.address, "status", CONSUL_HTTP_ADDR=nowhere)
    assert ran.exit == 0


def test_an_empty_prefix_is_said(world: World):
    """Where there is no app, status says so on stderr, with the command that makes one."""
    ran = world.bgctl("status")

    assert ran.exit == 0
    assert ran.out == ""
    assert "bgctl init" in ran.err


def test_a_token_that_may_only_read_is_exit_6(tmp_path: Path):
    """A token that may read and not write sees the status, and set-live ends with 6, the key untouched."""
    with consul.running(tmp_path / "consul", acl=True) as server:
        world = World(server, "bluegreen")
        world.live("blue")
        world.member("lb-1")
        token = server.grant("reader", 'key_prefix "" { policy = "read" }')

        assert world.bgctl("status", "shop", CONSUL_HTTP_TOKEN=token).exit == 0
        ran = world.bgctl("-o", "json", "set-live", "green", CONSUL_HTTP_TOKEN=token)

        assert ran.exit == 6
        assert ran.json["error"]["because"] == "store-denied"
        assert world.get("apps/shop/live") == "blue"


def test_an_unknown_token_is_exit_6(tmp_path: Path):
    """A token that Consul refuses is exit 6, store-denied."""
    with consul.running(tmp_path / "consul", acl=True) as server:
        ran = World(server, "bluegreen").bgctl(
            "-o",
            "json",
            "status",
            CONSUL_HTTP_TOKEN="00000000-1111-2222-3333-444444444444",  # noqa: S106 (it must be unknown)
        )

    assert ran.exit == 6
    assert ran.json["error"]["because"] == "store-denied"


def test_whoever_stops_reading_is_no_error(fleet: World):
    """A reader that goes away ends bgctl without a traceback."""
    command = [*fleet.command("status", "shop")]
    with subprocess.Popen(
        command, env=fleet.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()

    assert said == ""


def test_bare_it_shows_its_commands(world: World):
    """Without a command bgctl shows what there is on stderr, and exits 2."""
    ran = world.bgctl()

    assert (ran.exit, ran.out) == (2, "")
    assert "set-live" in ran.err


def test_it_starts_light(world: World):
    """Neither rich nor docker nor structlog nor the demo is loaded to show an app."""
    code = "import sys, bgctl.__main__, bgctl.commands, bgctl.set_live, bgctl.status; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=world.environment(), capture_output=True, text=True, check=True
    )

    assert not {"rich", "docker", "structlog", "bgctl.demo", "asyncio"} & set(done.stdout.split())
