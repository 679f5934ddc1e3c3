"""The `grevy` command: flags in, messages out. Everything heavy is imported by the command at hand.

What a command does is in the other wings; here it gets its flags, from `RunConfig` where they are
settings of a run, and here messages learn to speak of flags.
"""

from grevy.cli.commands import main
from grevy.cli.speech import in_flags, speaking

__all__ = ["in_flags", "main", "speaking"]
