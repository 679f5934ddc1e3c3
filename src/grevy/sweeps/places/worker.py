"""The process of a worker: does what comes through a pipe, and ends with whoever sent it."""

import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from types import FrameType

_LOOK = 0.5  # seconds between two looks whether the parent lives
_GRACE = 15.0  # seconds to keep what is being done, once it does not


def serve(pipe: Connection) -> None:
    """Do what comes until nothing more can come."""
    while True:
        try:
            asked = pipe.recv_bytes()
        except EOFError:
            return
        try:
            function, args, kwargs = pickle.loads(asked)
            answer = ("result", function(*args, **kwargs))
        except Exception as error:
            answer = ("error", RuntimeError(f"{type(error).__name__}: {error}"))
        pipe.send(answer)


def _leave(number: int, _frame: FrameType | None) -> None:
    if not isinstance(sys.exception(), SystemExit):  # once is enough: it is tidying up
        raise SystemExit(128 + number)


def _follow(parent: int) -> None:
    """End this process when its parent has ended, however that came; keep what it is at."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE)
    os._exit(1)


def main(handle: int, parent: int) -> None:
    """Serve until the parent closes the pipe or ends."""
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        serve(Connection(handle))
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody waits for the answer


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
