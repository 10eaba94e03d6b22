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


def test_every_example_is_right() -> None:
    """Each bgd.toml in docs/configuration.md is accepted as it stands, or with an app below it."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)

    assert len(examples) > 5
    for example in examples:
        app = "" if "[[app]]" in example else '\n[[app]]\nname = "shop"\nbind = []\n'
        assert config.parse(example + app, "docs/configuration.md").apps


def test_every_bound_is_true() -> None:
    """What docs/configuration.md says of a key's default and bounds is so."""
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.(\w+)` \| `(.+?)` \| `(.+?)` \| `(.+?)` \|", text, re.MULTILINE)
    least = config.parse('[[app]]\nname = "shop"\n', "least")

    def settings(table: str, key: str, value: str) -> config.Settings:
        place = table if table == "notify" else f"app.{table}"
        return config.parse(f'[[app]]\nname = "shop"\n[{place}]\n{key} = {value}\n', "example")

    assert {"flip", "revert", "notify"} == {table for table, *_ in rows}
    for table, key, default, low, high in rows:
        assert settings(table, key, default) == least
        assert settings(table, key, low) != settings(table, key, high)


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
