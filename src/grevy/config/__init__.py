"""What decides a run: one flat set of settings, the same in flags, YAML and the archive."""

from grevy.config.files import config_text, read_config, read_sessions, refuse_imports
from grevy.config.identity import deciding, run_id
from grevy.config.listing import (
    Setting,
    incidental_settings,
    known_settings,
    list_settings,
    settings_of_a_file,
)
from grevy.config.making import make_config, setting_problem
from grevy.config.settings import RunConfig

__all__ = [
    "RunConfig",
    "Setting",
    "config_text",
    "deciding",
    "incidental_settings",
    "known_settings",
    "list_settings",
    "make_config",
    "read_config",
    "read_sessions",
    "refuse_imports",
    "run_id",
    "setting_problem",
    "settings_of_a_file",
]
