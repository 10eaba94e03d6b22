"""Frontends and routes, before any proxy reads them."""

from pathlib import Path
from typing import Any

from bgd.config import AppSettings, ProbeSettings
from bgd.proxy.routes import NOBODY, frontends

FOLDER = Path("/f")


def app(name: str, **changes: Any) -> AppSettings:
    return AppSettings(name=name, service=name, **changes)


def test_binds_with_the_same_apps_are_one_frontend() -> None:
    """Two binds that the same apps claim need one frontend and one listener of bgd's own."""
    (front,) = frontends([app("shop", bind=("*:80", "*:8080"))], FOLDER)

    assert front.binds == ("*:80", "*:8080")
    assert front.socket == Path("/f/bgd_shop.sock")


def test_no_bind_stands_in_two_frontends() -> None:
    """Whatever apps claim, each bind has one frontend, with every app that claims it."""
    apps = [app("a", bind=("*:80",)), app("b", bind=("*:80", "*:443")), app("c", bind=("*:443", "*:1"))]
    found = {bind: front.apps for front in frontends(apps, FOLDER) for bind in front.binds}

    assert found == {"*:80": ("a", "b"), "*:443": ("b", "c"), "*:1": ("c",)}
    assert len({front.name for front in frontends(apps, FOLDER)}) == 3


def test_frontends_do_not_depend_on_the_order_of_apps() -> None:
    """The same apps in another order make the same frontends, so no reload."""
    apps = [app("a"), app("b", hosts=("b.example",)), app("c", bind=())]

    assert frontends(apps, FOLDER) == frontends(apps[::-1], FOLDER)


def test_an_app_without_a_bind_has_a_frontend_of_its_own() -> None:
    """Without a bind there is only bgd's own listener, and every request there is the app's."""
    (front,) = frontends([app("shop", bind=(), hosts=("shop.example",))], FOLDER)

    assert front.binds == ()
    assert [route.condition for route in front.routes] == [""]


def test_exact_host_then_longest_path() -> None:
    """Routes are asked in the order of what they ask for."""
    apps = [
        app("any"),
        app("long", paths=("/a/b",)),
        app("short", paths=("/a",)),
        app("host", hosts=("H",)),
        app("both", hosts=("h",), paths=("/a",)),
    ]
    (front,) = frontends(apps, FOLDER)

    assert [route.app for route in front.routes] == ["both", "host", "long", "short", "any"]


def test_a_path_counts_by_whole_segments() -> None:
    """A prefix takes itself and what is beneath it, and no longer word."""
    (front,) = frontends([app("shop", paths=("/shop/",))], FOLDER)
    (route,) = front.routes

    assert [route.takes("h", path) for path in ("/shop", "/shop/", "/shop/x")] == [True] * 3
    assert [route.takes("h", path) for path in ("/shopping", "/", "/x/shop")] == [False] * 3


def test_the_door_is_the_probes_path_where_it_leads_to_the_app() -> None:
    """The proof asks for what is probed, unless that path is another app's."""
    probe = ProbeSettings(path="/shop/health?full=1")
    shop, rest = app("shop", paths=("/shop",), probe=probe), app("rest", probe=probe)
    (front,) = frontends([shop, rest], FOLDER)

    assert front.door(shop) == (NOBODY, "/shop/health?full=1")
    assert front.door(rest) == (NOBODY, "/")


def test_tcp_rules_stand_first() -> None:
    """Connection rules among the lines are written where HAProxy asks them."""
    lines = ("http-request deny", " tcp-request connection reject ")
    (front,) = frontends([app("shop", lines=lines)], FOLDER)

    assert (front.tcp_lines, front.lines) == (["tcp-request connection reject"], ["http-request deny"])
