"""python -m clfctl, and the entry point of the `clfctl` command."""

from clfctl.cli.app import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
