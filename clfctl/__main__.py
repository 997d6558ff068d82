"""python -m clfctl, and the entry point of the `clfctl` command."""

try:
    from clfctl.cli.app import main
except KeyboardInterrupt:  # an impatient Ctrl-C, before anything could have begun
    raise SystemExit(130) from None

__all__ = ["main"]

if __name__ == "__main__":
    main()
