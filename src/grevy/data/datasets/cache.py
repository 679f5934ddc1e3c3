"""Where data sets lie on this computer, and how one that is missing gets there."""

import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grevy.data.datasets.downloads import Published, download
from grevy.errors import GrevyError


def cache_directories() -> list[Path]:
    """Return the folders in which data sets are looked for, the first one being written to.

    These are `$CEBRA_DATADIR` (which `cebra` knows too), `$CEBRA_DATA_PATH` and `~/.cebra`, as the
    environment has them at the time of the call.
    """
    named = [os.environ.get(name) for name in ("CEBRA_DATADIR", "CEBRA_DATA_PATH")]
    folders = [Path(folder).expanduser() for folder in named if folder]
    return list(dict.fromkeys([*folders, Path("~/.cebra").expanduser()]))


@dataclass(frozen=True)
class Cache:
    """The data files on this computer, and whether others may be fetched.

    Attributes
    ----------
    offline : bool
        Never use the network.
    timeout : float
        The longest silence of a server that is allowed, in seconds.
    """

    offline: bool
    timeout: float

    @cached_property
    def published(self) -> dict[str, Published]:
        """Path below a cache folder -> where the file is published."""
        return published_files()

    def find(self, relative: str) -> Path | None:
        """Return the file if it lies in one of the cache folders."""
        for folder in cache_directories():
            if (folder / relative).is_file():
                return folder / relative
        return None

    def provide(self, relative: str) -> Path:
        """Return the file, fetched first if need be.

        Raises
        ------
        GrevyError
            If it is not there and cannot be fetched: what is missing, and where to put it.
        """
        found = self.find(relative)
        if found is not None:
            return found
        target = cache_directories()[0] / relative
        published = self.published[relative]
        packed = ", unpacked with gunzip" if published.packed_md5 else ""
        advice = (
            f"Put the file at {target} (from {published.url}{packed}), or set CEBRA_DATADIR to the "
            f"folder that holds {relative}."
        )
        if self.offline:
            raise GrevyError(f"{relative} is not on this computer, and downloads are off. {advice}")
        try:
            download(published, target, self.timeout)
        except GrevyError as error:
            raise GrevyError(
                f"{relative} is not on this computer, and fetching it failed: {error} {advice}"
            ) from error
        return target


def cebras_datasets() -> Any:
    """Import `cebra.datasets` so that its own idea of the data folder agrees with ours.

    It reads CEBRA_DATADIR once, when it is imported, and knows neither of the other two places.
    """
    if "cebra.datasets" not in sys.modules:
        before = os.environ.get("CEBRA_DATADIR")
        os.environ["CEBRA_DATADIR"] = str(cache_directories()[0])
        try:
            import cebra.datasets
        finally:
            if before is None:
                del os.environ["CEBRA_DATADIR"]
            else:
                os.environ["CEBRA_DATADIR"] = before
    import cebra.datasets

    return cebra.datasets


def published_files() -> dict[str, Published]:
    """Return what `cebra` publishes: path below a cache folder -> address and checksums."""
    cebras = cebras_datasets()
    tables = (
        ("synthetic", ".jl", cebras.synthetic_data.synthetic_data_urls),
        ("rat_hippocampus", ".jl", cebras.hippocampus.rat_dataset_urls),
        ("monkey_reaching_preload_smth_40", "", cebras.monkey_reaching.monkey_reaching_urls),
    )
    return {
        f"{folder}/{name}{suffix}": Published(
            entry["url"], entry["checksum"], entry.get("gzipped_checksum")
        )
        for folder, suffix, table in tables
        for name, entry in table.items()
    }
