"""What Grevy logs while a block runs."""

import logging
from contextlib import contextmanager


@contextmanager
def logged(level=logging.INFO):
    """Hand on a list of the messages, which grows as they come."""
    messages = []

    class Kept(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    log, handler = logging.getLogger("grevy"), Kept()
    before = log.level
    log.addHandler(handler)
    log.setLevel(level)
    try:
        yield messages
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
