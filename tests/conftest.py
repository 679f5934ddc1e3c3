"""What all tests share."""

from hypothesis import settings

# On a busy machine, how long an example takes says nothing about the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
