"""Numbers, names and units as a reader wants them."""

import numpy as np
import pytest

from grevy.data.labels import make_label
from grevy.report.figures.scene import label_columns
from grevy.report.words import unit_of

LINE = np.linspace(0, 1, 8)


@pytest.mark.parametrize(
    ("kind", "period", "unit", "expected", "title"),
    [
        ("continuous", None, "m", "m", "place (m)"),
        ("continuous", None, "", "", "place"),
        ("circular", None, "", "rad", "place (rad)"),
        ("circular", 360, "", "degrees", "place (degrees)"),
        ("circular", 24, "h", "h", "place (h)"),
        ("continuous", None, "\x1b[31m" + "long" * 9, "\\x1b[31mlon…", None),
    ],
)
def test_a_unit_is_that_given_or_that_of_a_turn(kind, period, unit, expected, title):
    label = make_label("place", LINE, kind, period, unit)
    assert unit_of(label) == expected
    if title:
        assert [each.title for each in label_columns(label)] == [title]
