"""Start an emulated ONTAP cluster by hand: `python -m tests.emulators.ontap --root DIR`."""

from tests.ontap.emulator.__main__ import main

if __name__ == "__main__":
    raise SystemExit(main())
