"""Other nodes' words: who has proved a wish, and which wish is the newest among the living."""

from bgd.core.model import Desired, Member


def someone_proved(members: tuple[Member, ...], desired: Desired) -> bool:
    """Whether an alive member serves exactly this wish, proved."""
    return any(
        member.alive
        and member.proved
        and member.serving is not None
        and (member.serving.colour, member.serving.generation) == (desired.colour, desired.generation)
        for member in members
    )


def newest_wish(members: tuple[Member, ...]) -> Desired | None:
    """The wish of the highest generation that an alive member has accepted."""
    wishes = [member.desired for member in members if member.alive and member.desired is not None]
    return max(wishes, key=lambda wish: wish.generation, default=None)
