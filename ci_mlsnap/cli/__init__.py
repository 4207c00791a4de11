"""The command line. Importing this is cheap: a command's module is loaded when the command runs."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line of this process and give its exit code."""
    if "MLSNAP_HIDDEN" in os.environ:
        from ci_mlsnap.training.hidden import take_back

        take_back()
    from ci_mlsnap.cli.streams import flush_streams, settle_streams

    settle_streams()
    code = _run()
    lost = flush_streams()
    if lost is None:
        return code
    from ci_mlsnap.cli.program import show_output_lost

    return show_output_lost(lost, code)


def _run() -> int:
    if sys.argv[1:] == ["--version"]:
        from ci_mlsnap import __version__

        print(f"mlsnap {__version__}")
        return 0
    if "run" in sys.argv[1:]:
        # The one command in which training is beside our secrets.
        from ci_mlsnap.training.hidden import hide_environment

        hide_environment()
    from ci_mlsnap.cli.program import run_program

    return run_program(sys.argv[1:])
