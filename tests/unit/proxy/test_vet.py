"""One app's bad block beside good ones."""

from pathlib import Path

from bgd.config import AppSettings
from bgd.core.model import Colour, Server
from bgd.proxy.adapter import Texts
from bgd.proxy.blocks import NO_SERVERS, Block, Blocks
from bgd.proxy.haproxy.text import faults
from bgd.proxy.render import Page
from bgd.proxy.vet import Vetted, vet


def block(name: str, *lines: str, port: int = 0) -> Block:
    servers = {**NO_SERVERS, Colour.BLUE: frozenset({Server("10.0.0.1", port)} if port else ())}
    return Block(AppSettings(name=name, service=name, lines=lines), servers)


def render(blocks: Blocks) -> Page:
    words = (f"{name} {' '.join(b.settings.lines)} {b.servers}" for name, b in blocks.items())
    return Page({"part": "\n".join(words)}, "", {})


def check(texts: Texts) -> str | None:
    return "bad line" if "bad" in texts["part"] else None


def judged(targets: Blocks, good: Blocks, main_file_is: str = "fine") -> Vetted:
    def with_main_file(texts: Texts) -> str | None:
        return "main file" if main_file_is != "fine" else check(texts)

    return vet(targets, good, render=render, check=with_main_file, standing={})


def test_culprit_alone_stays_behind() -> None:
    """The app that is refused keeps its last good block, the others get theirs."""
    good = {"a": block("a"), "b": block("b"), "c": block("c")}
    targets = {"a": block("a", "new"), "b": block("b", "bad"), "c": block("c", "new")}

    found = judged(targets, good)

    assert found.blocks == {"a": targets["a"], "b": good["b"], "c": targets["c"]}
    assert {app: failed.detail for app, failed in found.failed.items()} == {"b": "bad line"}
    assert found.fit


def test_culprit_gets_its_servers() -> None:
    """Settings that are refused do not hold up the app's servers."""
    found = judged({"a": block("a", "bad", port=2)}, {"a": block("a", port=1)})

    assert found.blocks == {"a": block("a", port=2)}


def test_newcomer_that_is_refused_stays_out() -> None:
    """An app without a last good block is left out when it is refused."""
    found = judged({"a": block("a"), "b": block("b", "bad")}, {"a": block("a")})

    assert found.blocks == {"a": block("a")}
    assert set(found.failed) == {"b"}


def test_nothing_is_written_when_even_the_last_good_is_refused() -> None:
    """What fails without any change is no app's fault, and nothing is fit to stand."""
    found = judged({"a": block("a", port=2), "b": block("b")}, {"a": block("a"), "b": block("b")}, "broken")

    assert not found.fit
    assert {failed.detail for failed in found.failed.values()} == {"main file"}


def test_what_stands_is_not_judged_again() -> None:
    """A text that is in place has passed before."""
    targets = {"a": block("a", "bad")}
    found = vet(targets, {}, render=render, check=check, standing=render(targets).texts)

    assert found == Vetted(render(targets), targets)


def test_faults_that_the_proxy_would_not_see() -> None:
    """A bare redirect and a listener's path that is too long are told with their cure."""
    found = faults({"a": block("a", "redirect prefix /x"), "b": block("b")}, Path("/f"))

    assert {app: failed.detail for app, failed in found.items()} == {
        "a": "line 'redirect prefix /x': write it as 'http-request redirect prefix /x'"
    }
    assert set(faults({"b": block("b")}, Path("/" + "f" * 100))) == {"b"}
