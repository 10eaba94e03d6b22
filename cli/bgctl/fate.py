"""What became of a wish that the key names no more, as far as its successor tells.

Rules that live here: a revert or a decline names the generation that it ends; every other wish has
merely come later, and wins.
"""

from bgctl.ending import Ended, Exit, refused
from bgctl.standing import App, author, named, names
from bgd.core.model import Colour, Desired, Order, OrderKind
from bgd.core.reasons import Because


def ending(app: App, wish: Desired) -> Ended | None:
    """How a wish ended that was being waited for; None while the key names it."""
    if app.generation == wish.generation:
        return None
    return ended_by_fleet(app, wish) or _overtaken(app, wish)


def ended_by_fleet(app: App, wish: Desired) -> Ended | None:
    """The ending of a wish that was reverted or declined; None when it ended otherwise, or not at all."""
    order = app.desired.order if app.desired else None
    if order is None or order.after != wish.generation:
        return None
    match order.kind:
        case OrderKind.REVERT:
            return _reverted(app, wish, order)
        case OrderKind.DECLINED:
            return _declined(app, wish, order)
    return None


def _reverted(app: App, wish: Desired, order: Order) -> Ended:
    rejected = ", ".join(sorted(app.ledger.rejected & _releases(app, wish.colour)))
    release = f" {order.release}" if order.release else ""
    lift = f", or lift the rejection: bgctl unreject {rejected} --app {app.name}" if rejected else ""
    return Ended(
        Exit.REVERTED,
        Because.REVERTING,
        f"generation {wish.generation} ({wish.colour}) was reverted to {order.colour}{release} by {order.by}"
        f"{f': {order.reason}' if order.reason else ''}{f'; rejected: {rejected}' if rejected else ''}",
        f"bgctl why {app.name}; deploy a release that is repaired{lift}",
    )


def _declined(app: App, wish: Desired, order: Order) -> Ended:
    code, _, detail = order.reason.partition(": ")
    known = code in list(Because)
    return refused(
        code if known else Because.WISH_EXPIRED,
        f"generation {wish.generation} ({wish.colour}) was declined by {order.by}: "
        f"{detail if known else order.reason}; the key names {order.colour} again",
        f"bgctl why {app.name}; then ask again: bgctl set-live {wish.colour} --app {app.name}",
    )


def _overtaken(app: App, wish: Desired) -> Ended:
    return refused(
        Because.SUPERSEDED,
        f"generation {wish.generation} ({wish.colour}) was overtaken: {app.name}'s key now names "
        f"{named(app.live)}, by {author(app.live)}; "
        f"proved before that by: {names(app.proved(wish))}",
        f"bgctl status {app.name}; the later word wins",
    )


def _releases(app: App, colour: Colour) -> frozenset[str]:
    """What a colour runs, or what its members served of it last."""
    served = frozenset(m.serving_release for m in app.members if m.serves == colour)
    return app.releases(colour) | served
