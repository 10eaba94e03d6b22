"""One invocation of bgctl: where Consul is, which app is meant, and all that is asked of Consul.

Rules that live here: Consul is asked only when a command needs it; a fault of it becomes an ending with
its reason and cure; an app that does not exist is named together with the nearest one that does.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bgctl.ending import Ended, Exit, misused
from bgctl.nearest import nearest
from bgctl.standing import App
from bgctl.told import Member
from bgd.core.reasons import Because

if TYPE_CHECKING:
    from bgd.store.client import Client, StoreFault
    from bgd.store.keys import Keys
    from bgd.store.views import AppView


@dataclass
class Call:
    """What the global options say, and the one connection to Consul."""

    consul_addr: str = ""
    token_file: str = ""
    prefix: str = ""
    output: str = "table"

    @property
    def json(self) -> bool:
        return self.output == "json"

    # -- which app --------------------------------------------------------------------------------

    def app_name(self, named: str | None) -> str:
        """The app that is meant: named, or the only one that there is."""
        if named is not None:
            return app_word(named)
        known = self.known()
        if len(known) == 1:
            return known[0]
        if not known:
            raise misused(self.no_apps)
        raise misused(f"which app? There are {', '.join(known)}", "--app APP, or BGCTL_APP")

    def existing_app(self, name: str) -> App:
        """An app as it stands now, if it exists."""
        with self.faults():
            from bgd.store import views

            app = app_of(views.app_view(self.client, app_word(name)))
        if not app.exists:
            raise misused(
                f"no app {name} below {self._prefix}/{nearest(name, self.known())}",
                f"bgctl init {name} --live blue makes it, if it is not the token that may not read it",
            )
        return app

    def apps(self) -> list[App]:
        """All apps as they stand now."""
        return [self.existing_app(name) for name in self.known()]

    @property
    def no_apps(self) -> str:
        """What to say where there is nothing."""
        return (
            f"there is no app below {self._prefix}/ (or the token may not read it); "
            "bgctl init APP --live blue makes one"
        )

    def follow(self, name: str, deadline_s: float) -> Iterator[App]:
        """An app as it stands now, and each time that has changed, until the deadline."""
        with self.faults():
            from bgd.store import views

            for view in views.follow_app(self.client, name, deadline_s - time.monotonic()):
                yield app_of(view)

    def history(self, name: str, count: int) -> list[dict[str, Any]]:
        """The newest events of an app, newest first."""
        self.existing_app(name)
        with self.faults():
            from bgd.store import views

            return views.events(self.client, name, count)

    def rejection(self, name: str, release: str) -> dict[str, Any]:
        """What is written down about a rejected release, as far as it is understood."""
        with self.faults():
            from bgd.store import records

            there = self.client.read(self.client.keys.rejected(name, release))
            return (records.decode(there.value) if there else None) or {}

    # -- Consul -------------------------------------------------------------------------------------

    @property
    def keys(self) -> "Keys":
        """Where this call's keys are; nobody is asked for that."""
        from bgd.store.keys import Keys

        return Keys(_prefix_word(self._prefix))

    @property
    def _prefix(self) -> str:
        return self.prefix or "bluegreen"

    @cached_property
    def client(self) -> "Client":
        from bgd.config import ConsulSettings
        from bgd.store.client import Client

        settings = ConsulSettings(
            address=self.consul_addr, token_file=self.token_file, prefix=_prefix_word(self._prefix)
        )
        return Client(settings, os.environ)

    def known(self) -> list[str]:
        with self.faults():
            from bgd.store import views

            return views.apps(self.client)

    @contextmanager
    def faults(self) -> Iterator[None]:
        from bgd.store.faults import BadSetting, StoreFault

        try:
            yield
        except StoreFault as fault:
            raise _ending(fault) from fault
        except BadSetting as bad:
            place = _OPTIONS.get(bad.place, bad.place)
            raise misused(f"{place}: {bad.what}", bad.cure) from bad


UNSURE = "; nobody knows whether it was written"
"""How a write ends of which Consul has not said what became of it."""

_OPTIONS = {"consul.address": "--consul-addr", "consul.token_file": "--token-file"}


def _ending(fault: "StoreFault") -> Ended:
    from bgd.store.faults import Fault

    match fault.kind:
        case Fault.DENIED:
            cure = "--token-file FILE or CONSUL_HTTP_TOKEN names a token that may"
            return Ended(Exit.STORE, Because.STORE_DENIED, fault.detail, cure)
        case Fault.REFUSED:
            return misused(fault.detail)
        case Fault.UNKNOWN:
            return Ended(
                Exit.STORE, Because.STORE_LOST, f"{fault.detail}{UNSURE}", "bgctl status says what stands"
            )
    cure = "--consul-addr URL or CONSUL_HTTP_ADDR says where Consul is"
    return Ended(Exit.STORE, Because.STORE_LOST, fault.detail, cure)


def app_of(view: "AppView") -> App:
    """An app as Consul showed it, without who is a member no more."""
    members = (Member(one.node, one.alive, one.report) for one in view.members if not one.gone)
    return App(view.app, view.live, tuple(members), view.ledger)


def app_word(name: str) -> str:
    from bgd.store.keys import is_app

    if not is_app(name):
        raise misused(
            f"{name!r} cannot be the name of an app",
            "letters a-z, digits and inner hyphens, at most 40",
        )
    return name


def _prefix_word(text: str) -> str:
    from bgd.config.values import Bad, prefix

    try:
        return str(prefix(text.strip("/")))
    except Bad as wrong:
        problem = wrong.problems[0]
        raise misused(f"--prefix: {problem.what}", problem.cure) from None
