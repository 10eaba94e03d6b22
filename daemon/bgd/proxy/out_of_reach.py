"""Why a container is out of bgd's reach, each time with the cure: judged by what Docker knows of it.

Rule that lives here: bgd replaces files and never edits them, so the container must see bgd's whole folder,
by the path that bgd knows it by. A file that is mounted by itself would be the old one for ever.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Facts = Mapping[str, Any]


class OutOfReach(OSError):
    """What Docker or the container cannot do, with the cure."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.strerror = why


class Missing(OutOfReach, FileNotFoundError):
    """No such container, or no such file in it."""


def why_stopped(name: str, state: Facts) -> str:
    """Why nothing can be run in the container."""
    if state["Restarting"]:
        return f"container {name} ends as soon as it is started: see 'docker logs {name}'"
    if state["Paused"]:
        return f"container {name} is paused: 'docker unpause {name}'"
    return (
        ""
        if state["Running"]
        else f"container {name} does not run ({state['Status']}): 'docker start {name}'"
    )


def why_unseen(name: str, mounts: Sequence[Facts], folder: Path, *, writes: bool) -> str:
    """Why changes of bgd's folder would not be seen in the container."""
    cure = f"run it with '-v {folder}:{folder}'"
    for mount in mounts:
        source = Path(mount.get("Source") or "/")
        inside = folder in source.parents or folder in Path(mount["Destination"]).parents
        if inside and not source.is_dir():
            return (
                f"container {name} mounts the file {source} by itself; it would go on seeing the old one when"
                f" bgd puts a new one in its place: {cure}, the whole folder"
            )
    over = [mount for mount in mounts if folder.is_relative_to(mount["Destination"])]
    nearest = max(over, key=lambda each: len(Path(each["Destination"]).parts)) if over else None
    if nearest is None or not _shows(nearest, folder):
        return f"container {name} does not see bgd's folder {folder} by the same path: {cure}"
    if writes and not nearest["RW"]:
        return f"container {name} may not write to {folder}, where the sockets of the proof are: {cure}"
    return ""


def _shows(mount: Facts, folder: Path) -> bool:
    """Whether what is mounted there is bgd's folder itself, and not another of that name."""
    shown = Path(mount.get("Source") or "/") / folder.relative_to(mount["Destination"])
    return os.path.realpath(shown) == os.path.realpath(folder)


def why_apart(name: str, host: Facts) -> str:
    """Why what listens on the container's loopback cannot be asked from outside."""
    if host["NetworkMode"] == "host":
        return ""
    return f"container {name} has a loopback of its own, where bgd cannot ask: run it with '--network host'"


def why_docker(error: BaseException, where: str, answer_s: float) -> str:
    """What a failed errand means, by what lies beneath it: the library wraps it several times."""
    causes = list(_causes(error))
    if any(isinstance(each, PermissionError) for each in causes):
        return (
            f"bgd may not speak to Docker on {where}: put its user into the group docker, which makes it"
            " root in effect"
        )
    if any(isinstance(each, (FileNotFoundError, ConnectionRefusedError)) for each in causes):
        return f"Docker is not there on {where}: start it, or name it by DOCKER_HOST"
    if any("timed out" in str(each).lower() for each in causes):
        return f"Docker does not answer on {where} within {answer_s:g} s"
    return f"Docker on {where}: {getattr(error, 'explanation', None) or error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
