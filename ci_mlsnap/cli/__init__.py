"""The command line. Importing this is cheap: a command's module is loaded when the command runs."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line of this process and give its exit code."""
    from ci_mlsnap.cli.streams import settle_streams

    settle_streams()
    if sys.argv[1:] == ["--version"]:
        from ci_mlsnap import __version__

        print(f"mlsnap {__version__}")
        return 0
    from ci_mlsnap.cli.program import run_program

    return run_program(sys.argv[1:])
