"""bgd's part on disk: one file or a few, swapped whole, and kept until the next one has been proved."""

from pathlib import Path

from bgd.proxy import files
from bgd.proxy.adapter import Adapter, Texts


class Part:
    """The files of bgd's part, in the order in which they are written."""

    def __init__(self, adapter: Adapter) -> None:
        self._folder, self._names = adapter.folder, list(adapter.templates)

    def texts(self) -> dict[str, str]:
        """What stands, as far as it can be read."""
        found = {name: files.read(self._folder / name) for name in self._names}
        return {name: text for name, text in found.items() if text is not None}

    def standing(self) -> dict[str, str]:
        """What stands and is to be replaced. Raises WorldError when it could not be put back."""
        return files.standing_texts(self._folder, self._names)

    def swap(self, texts: Texts, standing: Texts) -> None:
        """Put these in the place of those. Raises WorldError."""
        for name in self._names:
            if name in texts and texts[name] != standing.get(name):
                files.write(self._folder / name, texts[name])
            elif name in standing and name not in texts:
                files.remove(self._folder / name)

    def keep(self, standing: Texts) -> None:
        """Keep what stands, byte for byte, beside it. Raises WorldError."""
        for name in standing:
            path = self._folder / name
            try:
                files.keep(path, self._kept(path))
            except OSError as error:
                raise files.cannot_write(path, error) from error

    @staticmethod
    def _kept(path: Path) -> Path:
        return path.with_name(f"{path.name}.good")
