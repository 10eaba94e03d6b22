"""What HAProxy's answers mean, and which commands bring its servers to what is wanted."""

from bgd.core.model import Server
from bgd.proxy.adapter import RunningServer
from bgd.proxy.haproxy import runtime, servers
from bgd.proxy.haproxy.servers import revivals, suppressions

A, B = Server("10.0.0.1", 80), Server("10.0.0.2", 80)
UP = RunningServer(down=False, taken_out=False, weight=100)


def steps(wanted: set[Server], running: dict[str, RunningServer], healthy: set[str]) -> list[str]:
    written = {server.name: f"{server.name} check" for server in wanted}
    return servers.steps("shop_blue", written, frozenset(wanted), running, frozenset(healthy))


def test_nothing_to_do() -> None:
    """Servers that are as wanted are left alone."""
    assert steps({A}, {A.name: UP}, {A.name}) == []


def test_a_healthy_newcomer() -> None:
    """A new server is added as the text has it, with its checks on, then made ready."""
    assert steps({A, B}, {A.name: UP}, {A.name, B.name}) == [
        f"add server shop_blue/{B.name} {B.name} check",
        f"enable health shop_blue/{B.name}",
        f"set server shop_blue/{B.name} state ready",
    ]


def test_a_newcomer_that_has_not_passed() -> None:
    """Leaving maintenance makes a server up, so one that is not healthy does it without weight."""
    assert steps({A, B}, {A.name: UP}, {A.name})[2:] == [
        f"set server shop_blue/{B.name} weight 0",
        f"set server shop_blue/{B.name} state ready",
        f"set server shop_blue/{B.name} health down",
        f"set server shop_blue/{B.name} weight 100",
    ]


def test_none_is_healthy() -> None:
    """While no server of the colour is healthy none is put down: HAProxy's own checks may know better."""
    assert "health down" not in " ".join(steps({A}, {}, set()))
    assert suppressions("shop_blue", [A, B], frozenset()) == []


def test_one_that_comes_back_while_it_drains() -> None:
    """A server that was on its way out is made ready again."""
    leaving = RunningServer(down=False, taken_out=True, weight=100)

    assert steps({A}, {A.name: leaving}, {A.name}) == [
        f"enable health shop_blue/{A.name}",
        f"set server shop_blue/{A.name} state ready",
    ]


def test_weight() -> None:
    """A weight that differs is set, absolute."""
    heavy = RunningServer(down=False, taken_out=False, weight=200)

    assert steps({A}, {A.name: heavy}, {A.name}) == [f"set server shop_blue/{A.name} weight 100"]


def test_host_names_wait_for_a_reload() -> None:
    """A host name cannot be added at runtime: HAProxy would not resolve it."""
    assert steps({Server("web.example", 80)}, {}, {"web.example:80"}) == []


def test_health_over_a_reload() -> None:
    """A new worker takes every server for up: those that are not are put down, if another serves."""
    assert suppressions("shop_blue", [A, B], frozenset({A.name})) == [
        f"set server shop_blue/{B.name} health down"
    ]


def test_revival() -> None:
    """A server that is healthy by own probes is up before the first request comes to it."""
    down = RunningServer(down=True, taken_out=False, weight=100)

    assert revivals("shop_blue", {A.name: down, B.name: down}, frozenset({A.name})) == [
        f"set server shop_blue/{A.name} health up"
    ]


def test_answers() -> None:
    """The answers of the runtime socket are read as HAProxy writes them."""
    states = "1\n# be_id be_name …\n4 shop_blue 1 10.0.0.1:80 10.0.0.1 0 1 7 1 2 6 3\n"

    assert runtime.variable("proc.x: type=str value=<abc>") == "abc"
    assert runtime.variable("Variable not found.") is None
    assert runtime.entries("0x1 shop shop_blue\n0x2 pay pay_green") == {
        "shop": "shop_blue",
        "pay": "pay_green",
    }
    assert runtime.entries("Unknown map identifier. Please use #<id> or <file>.") == {}
    assert runtime.servers(states) == {"shop_blue": {"10.0.0.1:80": RunningServer(True, True, 7)}}
    assert runtime.info("Name: HAProxy\nPid: 42\n", "Pid") == "42"
