"""Whether the host's configuration loads bgd's part, each file within the block it is made for.

Rule that lives here: what is missing is said as the line to write and the place to write it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from bgd.config import ProxySettings
from bgd.proxy.nginx.host import Source


def block_of(name: str) -> str:
    """The block that a file of bgd's part is made for."""
    return "stream" if name.endswith(".stream") else "http"


def has_stream(main: Source) -> bool:
    """Whether the host has a `stream {}` at all."""
    return any(_opens(source, "stream") for source in main.all())


def lacks(main: Source, texts: Mapping[str, str], settings: ProxySettings) -> Iterator[str]:
    """For each of these texts that is not loaded, the line that is missing."""
    for name in texts:
        loaded = [source for source in main.all() if source.part and source.path.name == name]
        if any(source.within == (block_of(name),) for source in loaded):
            continue
        elsewhere = ", ".join(dict.fromkeys(source.place for source in loaded))
        told = f"loads {settings.file.with_name(name)} only at {elsewhere}"
        if not loaded:
            told = f"does not load {settings.file.with_name(name)}"
        yield f"{settings.main_file} {told}: {_cure(main, name, settings)}"


def _cure(main: Source, name: str, settings: ProxySettings) -> str:
    line = f"include {settings.file.with_name('*' + Path(name).suffix)};"
    if block_of(name) == "http":
        return f"write '{line}' within its http {{ }}"
    if has_stream(main):
        return f"write '{line}' within its stream {{ }}"
    return f"write 'stream {{ {line} }}' beside its http {{ }}"


def _opens(source: Source, name: str) -> bool:
    return any(each.name == name and each.opens and not each.within for each in source.says)


def cuts_short(main: Source) -> Iterator[str]:
    """A time after which the host has nginx cut what old workers still finish: a reload then cuts it."""
    for source in main.all():
        for each in source.says:
            if each.name == "worker_shutdown_timeout":
                said = f"{source.path}:{each.line}: {each.name} {' '.join(each.values)}"
                yield f"{said} cuts what is open that long after a reload"
