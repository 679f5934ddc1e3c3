"""The name of a run, made of what decides its result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from grevy.config.listing import incidental_settings, settings_of_a_file


def run_id(settings: Mapping[str, Any], data_checksum: str) -> str:
    """Hash what decides the result: the settings that matter, and the data.

    Returns
    -------
    str
        12 hexadecimal digits. The same settings and data give the same on any machine; the place
        of the output and the device do not enter.
    """
    text = json.dumps([deciding(settings), data_checksum], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def deciding(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that decide the result.

    Of several recordings each has its own, whether these were given for it or for all; what they
    are called does not matter.
    """
    incidental = incidental_settings()
    found = {name: value for name, value in settings.items() if name not in incidental}
    if not settings.get("sessions"):
        return found
    of_file = [name for name in settings_of_a_file() if name in found]
    shared = {name: found.pop(name) for name in of_file}
    each = [
        {name: session.get(name, shared[name]) for name in of_file}
        for session in settings["sessions"]
    ]
    return {**found, "sessions": each}
