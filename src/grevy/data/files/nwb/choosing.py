"""Which rows of a table: comparisons of its columns, joined by `and`, `or` and `not`.

The text is parsed, never run: each node of the tree is one that is listed here, or refused.
"""

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from grevy.data.arrays import Array
from grevy.errors import GrevyError

LONGEST = 1000
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def chosen(expression: str, column: Callable[[str], Array], length: int) -> Array:
    """Tell which rows of a table an expression is true of.

    Parameters
    ----------
    expression : str
        Such as ``quality == 'good' and (snr > 3 or not electrodes.location == 'CA3')``. Beside
        names of columns: numbers, True, False, and texts in quotes.
    column : callable
        Takes a name, returns the column of `length` values, or raises what is wrong with it.
    length : int

    Returns
    -------
    ndarray of shape (length,), bool

    Raises
    ------
    GrevyError
        If it is anything else, or compares text with numbers.
    """
    if len(expression) > LONGEST:
        raise _refused(expression, f"it is longer than {LONGEST} letters")
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
        found = _truth(tree, expression, column)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, GrevyError):
            raise
        raise _refused(expression, "it cannot be read") from error
    return np.broadcast_to(np.asarray(found, bool), (length,))


def _truth(node: ast.expr, expression: str, column: Callable[[str], Array]) -> Any:
    if isinstance(node, ast.BoolOp):
        parts = [_truth(each, expression, column) for each in node.values]
        joined = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return joined.reduce(np.broadcast_arrays(*parts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return np.logical_not(_truth(node.operand, expression, column))
    if not isinstance(node, ast.Compare):
        raise _refused(expression, f"{ast.unparse(node)!r} is no comparison")
    values = [_value(each, expression, column) for each in (node.left, *node.comparators)]
    found: Any = True
    for sign, left, right in zip(node.ops, values, values[1:], strict=False):
        if type(sign) not in _COMPARED:
            raise _refused(expression, f"{ast.unparse(node)!r} is no comparison of sizes")
        if (left.dtype.kind == "U") != (right.dtype.kind == "U"):
            raise _refused(expression, f"{ast.unparse(node)!r} compares text with numbers")
        found = np.logical_and(found, _COMPARED[type(sign)](left, right))
    return found


def _value(node: ast.expr, expression: str, column: Callable[[str], Array]) -> Array:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return np.asarray(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = node.operand
        if isinstance(inner, ast.Constant) and type(inner.value) in (int, float):
            return np.asarray(-inner.value)  # type: ignore[operator]
    if isinstance(node, ast.Name):
        return column(node.id)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return column(f"{node.value.id}.{node.attr}")
    raise _refused(expression, f"{ast.unparse(node)!r} is no column, number or quoted text")


def _refused(expression: str, why: str) -> GrevyError:
    return GrevyError(
        f"`units`: {expression[:80]!r}: {why}. Expected comparisons of columns with numbers or "
        f"quoted text, joined by and, or, not: quality == 'good' and snr > 3."
    )
