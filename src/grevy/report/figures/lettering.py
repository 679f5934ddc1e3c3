"""Names in any script: what the usual font lacks another one draws, or it is spelled out."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from grevy.data import Label

USUAL = "DejaVu Sans"
# Sans serif with the glyphs of Chinese, Japanese or Korean, as Linux, macOS and Windows have them.
FURTHER = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK TC", "Noto Sans CJK KR", "Noto Sans SC",
    "Noto Sans JP", "Noto Sans KR", "Source Han Sans SC", "Source Han Sans", "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC", "Hiragino Sans GB",
    "Hiragino Sans", "Apple SD Gothic Neo", "AppleGothic", "Microsoft YaHei", "SimHei",
    "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic", "NanumGothic", "IPAGothic",
    "Arial Unicode MS",
)  # fmt: skip
_FILES = re.compile(
    r"cjk|notosans(sc|jp|kr)|hansans|wqy|droidsansfallback|pingfang|hiragino|applesdgothic"
    r"|applegothic|msyh|simhei|yugoth|meiryo|msgothic|malgun|nanumgothic|ipag|arial ?uni",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Lettering:
    """The fonts of one figure, and what they cannot draw.

    Attributes
    ----------
    families : tuple of str
        In the order in which a glyph is looked for.
    lacking : frozenset of str
        The characters that none of them has.
    """

    families: tuple[str, ...]
    lacking: frozenset[str]

    def legible(self, text: str) -> str:
        """Spell out what would be an empty box."""
        return "".join(
            each.encode("unicode_escape").decode() if each in self.lacking else each
            for each in text
        )

    def of_label(self, label: Label) -> Label:
        """Give a label a name, and classes, that can be drawn."""
        classes = tuple(self.legible(str(each)) for each in label.classes)
        return replace(label, name=self.legible(label.name), classes=classes)


def lettering(texts: Iterable[str], labels: Iterable[Label] = ()) -> Lettering:
    """Choose fonts for a figure that shows these texts, and the names and classes of these labels.

    An installed font that matplotlib does not know yet is added to its list. Where none has the
    glyphs a warning says so, once.
    """
    words = [*texts]
    for label in labels:
        words += [label.name, *map(str, label.classes)]
    # Control codes and their like are drawn by no font, and are taken out elsewhere.
    characters = {each for each in set("".join(words)) if unicodedata.category(each)[0] not in "CZ"}
    families, lacking = [USUAL], characters - _glyphs(_files()[USUAL])
    if lacking:
        _learn()
        known = _files()
        for family in FURTHER:
            found = lacking & _glyphs(known[family]) if family in known else set()
            if found:
                families.append(family)
                lacking -= found
    if lacking:
        tell()
    return Lettering(tuple(families), frozenset(lacking))


@cache
def tell() -> None:
    """Warn that signs are spelled out, and say what to install: once, not for every figure."""
    warnings.warn(
        "the figures show signs that no font here has as codes, such as \\u4f4d. For Chinese, "
        "Japanese and Korean install Noto Sans CJK (Debian: fonts-noto-cjk).",
        stacklevel=2,
    )


def _files() -> dict[str, str]:
    """Return the file of each font that matplotlib knows, by the name of its family."""
    from matplotlib import font_manager

    return {each.name: each.fname for each in reversed(font_manager.fontManager.ttflist)}


def _learn() -> None:
    """Let matplotlib know the fonts that were installed after it had made its list."""
    from matplotlib import font_manager

    known = {each.fname for each in font_manager.fontManager.ttflist}
    for path in sorted(font_manager.findSystemFonts()):
        if path not in known and _FILES.search(path):
            try:
                font_manager.fontManager.addfont(path)
            except (OSError, RuntimeError):
                continue  # no font that it can read


@cache
def _glyphs(path: str) -> frozenset[str]:
    """Return the characters that a font can draw; none if its file is gone."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(map(chr, FT2Font(path).get_charmap()))
    except (OSError, RuntimeError):
        return frozenset()
