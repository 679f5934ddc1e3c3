"""Files damaged at random, each read by a child of its own whose end, time and memory are watched.

As a program, `python damaging.py FOLDER SEED COUNT NAME ...` damages the files of these names in a
folder, COUNT of them in all, and prints what came of them as JSON. A file that is a fault's cause
stays in the folder `kept`.
"""

import collections
import faulthandler
import json
import os
import resource
import signal
import struct
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np

# What a child may use: seconds of the processor, seconds by the clock, and bytes of memory. The
# clock has its own limit for what waits; it is long, for a machine may be busy.
SECONDS, PATIENCE, MEMORY = 20, 300, 2**30
# Above this nothing is given to a child at all, so that a fault cannot take the machine along.
ADDRESSES = 6 * 2**30
HUGE = [2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
RUNS_CODE = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen",
             "socket.connect", "socket.getaddrinfo", "pickle.find_class")  # fmt: skip

# What a message must not hold: a second line, a want of memory, advice to run a file's code.
ODD = ("\n", "MemoryError", "Traceback", "Re-running")


def places(content, rng, most=8):
    """Where to damage: anywhere, or near either end, where headers are."""
    found = []
    for _ in range(1 if rng.random() < 0.5 else int(rng.integers(1, most + 1))):
        span = len(content) if rng.random() < 0.6 else min(len(content), 800)
        place = int(rng.integers(span))
        found.append(place if rng.random() < 0.6 else len(content) - 1 - place)
    return found


def flip(content, other, rng):
    for place in places(content, rng):
        content[place] = int(rng.integers(256))


def flip_bits(content, other, rng):
    for place in places(content, rng, 3):
        content[place] ^= 1 << int(rng.integers(8))


def truncate(content, other, rng):
    del content[places(content, rng, 1)[0] + 1 :]


def insert(content, other, rng):
    (place,) = places(content, rng, 1)
    content[place:place] = rng.bytes(int(rng.integers(1, 200)))


def remove(content, other, rng):
    (place,) = places(content, rng, 1)
    del content[place : place + int(rng.integers(1, 200))]


def duplicate(content, other, rng):
    (place,), size = places(content, rng, 1), int(rng.integers(1, 1000))
    content[place:place] = content[place : place + size]


def zero(content, other, rng):
    (place,) = places(content, rng, 1)
    block = content[place : place + int(rng.integers(1, 500))]
    content[place : place + len(block)] = bytes(len(block))


def swap(content, other, rng):
    size = int(rng.integers(1, max(2, len(content) // 3)))
    one, two = sorted(int(rng.integers(len(content))) for _ in range(2))
    size = min(size, two - one, len(content) - two)
    first, second = content[one : one + size], content[two : two + size]
    content[one : one + size], content[two : two + size] = second, first


def splice(content, other, rng):
    (place,) = places(content, rng, 1)
    content[place:] = other[min(place, len(other)) :]


def paste(content, other, rng):
    (place,), size = places(content, rng, 1), int(rng.integers(1, 500))
    start = int(rng.integers(len(other)))
    block = other[start : start + min(size, len(content) - place)]
    content[place : place + len(block)] = block


def enlarge(content, other, rng):
    """Put a huge number where a length may stand: at a number that is small."""
    for place in places(content, rng, 4):
        kind = "<>"[int(rng.integers(2))] + "HIQ"[int(rng.integers(3))]
        size = struct.calcsize(kind)
        start = place // size * size
        if start + size <= len(content):
            value = HUGE[int(rng.integers(len(HUGE)))] % 2 ** (8 * size)
            content[start : start + size] = struct.pack(kind, value)


def renumber(content, other, rng):
    """Write another number where digits stand, or other values of a text."""
    digits = [place for place, byte in enumerate(content) if 48 <= byte <= 57]
    if digits:
        place = digits[int(rng.integers(len(digits)))]
        content[place : place + 1] = b"%d" % HUGE[int(rng.integers(len(HUGE)))]


KINDS = (flip, flip_bits, truncate, insert, remove, duplicate, zero, swap, splice, paste, enlarge,
         renumber)  # fmt: skip


def damaged(whole, other, rng):
    """Damage the bytes of a file in one way or two, and say in which."""
    content = bytearray(whole)
    chosen = [KINDS[int(rng.integers(len(KINDS)))] for _ in range(1 + (rng.random() < 0.3))]
    for kind in chosen:
        if content:
            kind(content, other, rng)
    return bytes(content), "+".join(kind.__name__ for kind in chosen)


def read_nwb(path):
    from grevy.data import read_recording
    from grevy.data.files.nwb.session import read_session

    labels = ["behavior/position", "heading:circular", "side:discrete"]
    yield lambda: read_recording(
        path, neural="units", bin=0.02, labels=labels, segments="trials",
        units="quality == 'good' and snr > 1",
    )  # fmt: skip
    yield lambda: read_recording(path, neural="calcium", labels=["speed"])
    yield lambda: read_session(path)


def read_arrays(path):
    from grevy.data import list_arrays, read_array, read_recording

    options = {"neural": "spikes", "labels": ["angle:circular", "position"], "segments": "trial"}
    if path.suffix in (".csv", ".tsv", ".parquet"):
        options |= {"neural": "unit_*", "labels": ["angle:circular", "side"]}
    if path.suffix == ".npy":
        options = {}
    if path.name == "hdf5.h5":
        options = {"neural": "session.spikes", "labels": ["session.angle:circular"]}
    yield lambda: read_recording(path, period=None if path.suffix == ".npy" else 360, **options)
    for key in list_arrays(path):
        yield lambda key=key: read_array(path, key)


def read_jl(path):
    from grevy.data.files.joblib_files import read_joblib

    yield lambda: read_joblib(path, trust=False)


def read_model(path):
    from grevy import CEBRA

    yield lambda: CEBRA.load(path).transform(np.ones((30, 6), np.float32))


def read_settings(path):
    from grevy.config import make_config, read_config

    yield lambda: make_config(read_config(path))


READERS = {".nwb": read_nwb, ".jl": read_jl, ".pt": read_model, ".yaml": read_settings}


def inspect(path):
    from grevy.cli.inspecting import described
    from grevy.data import inspect_file

    return described(inspect_file(path))


def attempts(path):
    """What users do with a file."""
    if path.suffix not in (".pt", ".yaml"):
        yield lambda: inspect(path)
    yield from READERS.get(path.suffix, read_arrays)(path)


def use(path):
    """Read a file in every way; return what was said of it."""
    from grevy.errors import GrevyError

    said = []
    todo = attempts(path)
    while True:
        try:
            next(todo)()
        except StopIteration:
            return said
        except GrevyError as error:
            said.append(str(error))


def plain(message):
    """A message without the lines of several problems."""
    return message.replace(" problems\n  - ", " problems: ").replace("\n  - ", "; ")


def watched(path):
    """Read a file; return what came of it: messages, or why it is a fault."""
    ran = []

    def hook(event, arguments):
        if event.startswith(RUNS_CODE):
            ran.append(f"{event} {arguments!r}"[:300])

    sys.addaudithook(hook)
    warnings.simplefilter("ignore")
    try:
        said = use(path)
    except BaseException:
        return {"fault": traceback.format_exc()}
    if ran:
        return {"fault": f"ran {ran}"}
    odd = [each for each in said if any(word in plain(each) for word in ODD) or len(each) > 2000]
    return {"fault": f"odd message: {odd[0][:5000]}"} if odd else {"said": said}


def in_child(path):
    """Read a file in a child; return what came of it, its seconds and its memory."""
    receive, send = os.pipe()
    child = os.fork()
    if not child:
        os.close(receive)
        faulthandler.disable()  # what ends the child is told by the signal
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with open("/proc/self/statm") as stream:  # noqa: PTH123
            already = int(stream.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (already + ADDRESSES, already + ADDRESSES))
        signal.alarm(PATIENCE)
        found = json.dumps(watched(path)).encode()
        while found:
            found = found[os.write(send, found) :]
        os._exit(0)
    os.close(send)
    with os.fdopen(receive, "rb") as stream:
        found = stream.read()
    _, status, used = os.wait4(child, 0)
    outcome = {"seconds": used.ru_utime + used.ru_stime, "memory": used.ru_maxrss * 1024}
    if os.WIFSIGNALED(status):
        outcome["fault"] = f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    elif os.WEXITSTATUS(status) or not found:
        outcome["fault"] = f"exit {os.WEXITSTATUS(status)}"
    else:
        outcome |= json.loads(found)
    if outcome["memory"] > MEMORY:
        outcome.setdefault("fault", f"{outcome['memory'] / 2**20:.0f} MiB")
    return outcome


def preload(names):
    """Import what reading needs, so that no child has to; run nothing, for that starts threads."""
    import h5py  # noqa: F401
    import pandas as pd  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.io  # noqa: F401

    import grevy.cli.inspecting
    import grevy.config
    import grevy.data  # noqa: F401

    if any(name.endswith((".pt", ".jl")) for name in names):
        import torch  # noqa: F401
    if any(name.endswith(".pt") for name in names):
        from grevy import CEBRA  # noqa: F401


def main(folder, seed, count, names):
    """Damage files in turn until there are `count`; return a summary."""
    preload(names)
    rng = np.random.default_rng(seed)
    whole = {name: (folder / name).read_bytes() for name in names}
    sound = {name: in_child(folder / name)["said"] for name in names}
    faults, ends, messages = [], collections.Counter(), collections.Counter()
    most = {"seconds": 0.0, "memory": 0}
    began = time.process_time()
    for number in range(count):
        name = names[number % len(names)]
        content, kinds = damaged(whole[name], whole[names[int(rng.integers(len(names)))]], rng)
        place = folder / "damaged"
        place.mkdir(exist_ok=True)
        path = place / name
        path.write_bytes(content)
        outcome = in_child(path)
        most = {key: max(value, outcome[key]) for key, value in most.items()}
        if "fault" in outcome:
            kept = folder / "kept" / f"{seed}-{number}-{name}"
            kept.parent.mkdir(exist_ok=True)
            path.rename(kept)
            faults.append({"number": number, "file": str(kept), "kinds": kinds, **outcome})
            print(json.dumps(faults[-1]), file=sys.stderr, flush=True)
        else:
            as_ever = len(outcome["said"]) == len(sound[name])
            ends["read" if as_ever else "refused", name] += 1
            messages.update(each.replace(str(path), "FILE")[:60] for each in outcome["said"])
    return {
        "read": sum(value for (end, _), value in ends.items() if end == "read"),
        "refused": sum(value for (end, _), value in ends.items() if end == "refused"),
        "faults": faults, "messages": messages.most_common(), **most,
        "parent_seconds": time.process_time() - began,
    }  # fmt: skip


if __name__ == "__main__":
    where, start, number, *chosen = sys.argv[1:]
    print(json.dumps(main(Path(where), int(start), int(number), chosen)))
