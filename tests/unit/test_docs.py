"""The documents are true to the code."""

import re
from pathlib import Path

import pytest

from bgd import config
from bgd.config.load import TABLES

ROOT = Path(__file__).resolve().parents[2]


def test_every_key_is_documented_with_its_default() -> None:
    """The example in docs/configuration.md is a whole bgd.toml that means the defaults."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]
    documented = set(re.findall(r"^\s*(\w+) = ", example, re.MULTILINE))
    known = {key for table in TABLES.values() for key in table}

    assert documented == known
    settings = config.parse(example, "docs/configuration.md")
    defaults = config.parse('[[app]]\nname = "shop"\n', "least")
    assert settings == defaults


@pytest.mark.parametrize(
    "document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/configuration.md"]
)
def test_links_and_paths_lead_somewhere(document: str) -> None:
    """Every relative link of a document exists."""
    file = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / target).exists(), target


def test_the_map_names_every_module() -> None:
    """Each module of the daemon stands in ARCHITECTURE's map, by name or by the folder's sentence."""
    told = (ROOT / "ARCHITECTURE.md").read_text()
    for module in (ROOT / "daemon" / "bgd").glob("*.py"):
        assert module.name in told or module.name == "__init__.py", module.name
    for folder in (ROOT / "daemon" / "bgd").iterdir():
        assert not folder.is_dir() or f"{folder.name}/" in told or folder.name == "__pycache__", folder.name
