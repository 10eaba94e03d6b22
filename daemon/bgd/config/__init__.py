"""The configuration: bgd.toml → frozen settings, or all that is wrong with it at once."""

from bgd.config.load import ConfigProblems, changed_for_reload, load, parse
from bgd.config.settings import (
    AppSettings,
    ConsulSettings,
    FlipSettings,
    ProbeSettings,
    ProxySettings,
    RevertSettings,
    Settings,
)
from bgd.config.values import Problem

__all__ = [
    "AppSettings",
    "ConfigProblems",
    "ConsulSettings",
    "FlipSettings",
    "ProbeSettings",
    "Problem",
    "ProxySettings",
    "RevertSettings",
    "Settings",
    "changed_for_reload",
    "load",
    "parse",
]
