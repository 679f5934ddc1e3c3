"""The name of a run, made of what decides its result."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from grevy.config.listing import incidental_settings


def run_id(settings: Mapping[str, Any], data_checksum: str) -> str:
    """Hash what decides the result: the settings that matter, and the data.

    Returns
    -------
    str
        12 hexadecimal digits. The same settings and data give the same on any machine; the place
        of the output and the device do not enter.
    """
    incidental = incidental_settings()
    deciding = {name: value for name, value in settings.items() if name not in incidental}
    text = json.dumps([deciding, data_checksum], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
