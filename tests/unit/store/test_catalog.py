"""Instances in Consul's catalog, and what of them becomes a backend."""

from typing import Any

import pytest

from bgd.config import AppSettings
from bgd.core.events import CatalogSeen
from bgd.core.model import Colour
from bgd.store import catalog


def app(**settings: Any) -> AppSettings:
    return AppSettings(name="shop", service="shop", **settings)


def instance(id: str = "w1", **service: Any) -> dict[str, Any]:
    checks = service.pop("checks", [])
    told = {
        "ID": id,
        "Service": "shop",
        "Address": "10.0.0.1",
        "Port": 80,
        "Tags": ["blue"],
        "CreateIndex": 9,
    }
    return {"Node": {"Node": "n1", "Address": "192.0.2.1"}, "Service": told | service, "Checks": checks}


def read(*instances: dict[str, Any], **settings: Any) -> CatalogSeen:
    return catalog.read(app(**settings), "shop", instances)


def blue(*instances: dict[str, Any], **settings: Any) -> Any:
    return read(*instances, **settings).backends[Colour.BLUE]


def test_tags_tell_the_colour() -> None:
    """An instance is of the colour that its tag names, beside whatever other tags it has."""
    seen = read(instance("a", Tags=["v2", "blue"]), instance("b", Tags=["green"]))
    assert [[each.id for each in seen.backends[colour]] for colour in Colour] == [["a"], ["b"]]


def test_no_colour_is_no_backend_and_no_matter() -> None:
    """An instance without a colour is somebody else's and not worth a word."""
    seen = read(instance(Tags=["canary"]), instance(Tags=None), instance(Tags=[]))
    assert (seen.left_out, any(seen.backends.values())) == ((), False)


def test_both_colours_are_one_too_many() -> None:
    """An instance with both tags is left out, and that is told."""
    seen = read(instance("w9", Tags=["green", "blue"]))
    assert seen.left_out == ('instance "w9" of shop on "n1" is left out: it has the tags of both colours',)
    assert not any(seen.backends.values())


def test_meta_tells_the_colour() -> None:
    """With colour_by meta the service meta names the colour; a word that is none is told."""
    seen = read(
        instance("a", Meta={"colour": "green"}),
        instance("b", Meta={"colour": "purple"}),
        instance("c"),
        colour_by="meta",
    )
    assert [each.id for each in seen.backends[Colour.GREEN]] == ["a"]
    assert 'its meta colour is "purple"' in seen.left_out[0]


def test_services_tell_the_colour() -> None:
    """With colour_by service the service's name tells the colour, and both services are one app."""
    settings = app(colour_by="service")
    names = catalog.services(settings)
    assert names == ("shop-blue", "shop-green")
    parts = [catalog.read(settings, name, [instance(name)]) for name in names]
    whole = catalog.merge(settings, parts)
    assert [[each.id for each in whole.backends[colour]] for colour in Colour] == [
        ["shop-blue"],
        ["shop-green"],
    ]
    assert catalog.services(app()) == ("shop",)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("10.0.0.1", "10.0.0.1:80"),
        ("2001:DB8:0::1", "2001:db8::1:80"),
        ("Web-1.example.com", "web-1.example.com:80"),
        ("", "192.0.2.1:80"),
    ],
)
def test_an_address_has_one_spelling(address: str, name: str) -> None:
    """Addresses are IP addresses or host names in one spelling; an empty one is the node's."""
    (backend,) = blue(instance(Address=address))
    assert backend.name == name


@pytest.mark.parametrize(
    "address",
    [
        "1.2.3.4\n server evil",
        "1.2.3",
        "127.1",
        "0.0.0.0",  # noqa: S104 (nothing is bound)
        "::",
        "a b",
        "host:80",
        "-a",
        "a..b",
        "a.",
        "x" * 300,
        "fe80::1%eth0",
        "224.0.0.1",
        "$(reboot)",
        "münchen.de",
        "unix@/run/x",
        5,
    ],
)
def test_an_address_that_is_none_is_left_out(address: Any) -> None:
    """What could mean anything else in a proxy's configuration is left out and told on one line."""
    seen = read(instance(Address=address))
    assert not any(seen.backends.values())
    (sentence,) = seen.left_out
    assert sentence.isprintable()
    assert len(sentence) < 250


@pytest.mark.parametrize("port", [0, -1, 65536, "80", None, True, 1.5])
def test_a_port_that_is_none_is_left_out(port: Any) -> None:
    """Ports are whole numbers from 1 to 65535."""
    assert "is not from 1 to 65535" in read(instance(Port=port)).left_out[0]


def test_one_bad_instance_costs_only_itself() -> None:
    """A bad instance leaves the good ones as they are, whatever is missing in it."""
    seen = read(instance("good"), {}, {"Service": None}, instance("bad", Address="?"))
    assert [each.id for each in seen.backends[Colour.BLUE]] == ["good"]


def test_the_release_is_named_by_meta() -> None:
    """A release is what the service meta says, under the name that the settings give it."""
    assert blue(instance(Meta={"version": " 2.5.0 "}))[0].release == "2.5.0"
    assert blue(instance(Meta={"build": "7", "version": "x"}), release_meta="build")[0].release == "7"
    assert blue(instance(Meta={"version": "a\nb"}))[0].release == r"a\nb"


def test_without_a_release_a_redeploy_is_a_new_one() -> None:
    """Backends without a release share one that is named for the oldest of them, until it is replaced."""
    old = blue(instance("a", CreateIndex=30), instance("b", CreateIndex=20))
    assert {each.release for each in old} == {"~20"}
    assert {each.release for each in blue(instance("c", CreateIndex=40))} == {"~40"}
    mixed = blue(instance("a", CreateIndex=30, Meta={"version": "1"}), instance("b", CreateIndex=20))
    assert {each.release for each in mixed} == {"1", "~20"}


def check(status: str, name: str = "web") -> dict[str, Any]:
    return {"CheckID": "c", "Name": name, "Status": status, "Output": "changes all the time"}


def test_a_critical_check_is_an_objection() -> None:
    """A critical check is named, one that only warns is none; maintenance mode is a critical check."""
    assert blue(instance(checks=[check("passing"), check("warning")]))[0].objection == ""
    assert blue(instance(checks=[check("passing"), check("critical")]))[0].objection == '"web" is critical'
    maintenance = check("critical", "Service Maintenance Mode")
    assert blue(instance(checks=[maintenance]))[0].objection == '"Service Maintenance Mode" is critical'


@pytest.mark.parametrize(
    ("weights", "statuses", "weight"),
    [
        ({"Passing": 10, "Warning": 2}, ["passing"], 10),
        ({"Passing": 10, "Warning": 2}, ["passing", "warning"], 2),
        ({"Passing": 10, "Warning": 2}, ["warning", "critical"], 10),
        (None, [], 1),
        ({"Passing": "many"}, [], 1),
        ({"Passing": -5}, [], 1),
    ],
)
def test_weights_follow_the_checks(weights: Any, statuses: list[str], weight: int) -> None:
    """A backend weighs what Consul would give it; a weight that is none weighs one."""
    told = instance(Weights=weights, checks=[check(status) for status in statuses])
    assert blue(told)[0].weight == weight


def test_order_means_nothing() -> None:
    """The same instances in another order are the same word."""
    some = [instance("a", Port=81), instance("b", Port=80), instance("c", Address="bad address")]
    assert read(*some) == read(*reversed(some))
