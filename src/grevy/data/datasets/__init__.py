"""A name -> recordings: `cebra`'s data sets, demo and made data, and what users register."""

from grevy.data.datasets.cache import cache_directories
from grevy.data.datasets.loading import load, names
from grevy.data.datasets.modules import import_module

__all__ = ["cache_directories", "import_module", "load", "names"]
