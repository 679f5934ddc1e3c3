"""The `grevy` command as `python -m grevy`."""

from grevy.cli import main

if __name__ == "__main__":
    main()
