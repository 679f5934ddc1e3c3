"""Angles that agree or do not, and by how much: true against decoded."""

import numpy as np

from grevy.data import TAU, Array, Float64Array


def angular_error(true: Array, decoded: Array) -> Float64Array:
    """Measure the shorter way round between angles.

    Parameters
    ----------
    true, decoded : ndarray of shape (n,)
        In radians, any number of turns.

    Returns
    -------
    ndarray of shape (n,)
        In radians, from 0 to pi.
    """
    return np.abs(np.mod(decoded - true + np.pi, TAU) - np.pi)


def circular_correlation(true: Array, decoded: Array) -> float:
    r"""Correlate true and decoded angles.

    The coefficient of Jammalamadaka and SenGupta (Topics in Circular Statistics, World Scientific
    2001, section 8.2), of angles a_i and b_i about the centres mu and nu:

    .. math:: r = \frac{\sum_i \sin(a_i - \mu) \sin(b_i - \nu)}
                       {\sqrt{\sum_i \sin^2(a_i - \mu) \sum_i \sin^2(b_i - \nu)}}

    It is 1 where they agree up to a turn. Of angles about a mean direction it is near 0 where they
    have nothing to do with each other, and near -1 where one runs backwards.

    Not so of angles that cover the circle evenly: of those that run backwards it may be anything
    from -1 to 1 (0 in the mean), and unrelated ones reach a little more than 0 in the mean (some
    0.06 at n = 200, more for angles that change slowly), for the turn below is fitted to them.

    The book's centres are the two mean directions. Angles that cover the circle evenly, as head
    directions do, have none to speak of: two centres found from chance then make r anything from
    -1 to 1 for a good decoder. So mu is the mean direction of the true angles, and nu lies as far
    from it as the decoded angles lie from the true ones on (circular) average. Where both mean
    directions are well defined, that is the book's value.

    Parameters
    ----------
    true, decoded : ndarray of shape (n,)
        In radians.

    Returns
    -------
    float
        From -1 to 1; 0 if either does not vary.
    """
    centre = np.angle(np.exp(1j * true).mean())
    turn = np.angle(np.exp(1j * (decoded - true)).mean())
    a, b = np.sin(true - centre), np.sin(decoded - centre - turn)
    # Rounding leaves sines of 1e-16 where nothing varies; their ratio would mean nothing.
    if min(a @ a, b @ b) < 1e-20 * len(a):
        return 0.0
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))
