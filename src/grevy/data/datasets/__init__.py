"""A name -> recordings: `cebra`'s data sets, demo and made data, and what users register."""

from grevy.catalog.cache import cache_directories
from grevy.catalog.datasets import load, names
from grevy.catalog.modules import import_module

__all__ = ["cache_directories", "import_module", "load", "names"]
