"""What is said beside the results, on standard error."""

import sys

from clfctl.settings.groups import OutputSettings


def note(output: OutputSettings, *lines: str) -> None:
    """Print lines to standard error, unless all is to be quiet."""
    if lines and not output.quiet:
        print(*lines, sep="\n", file=sys.stderr, flush=True)
