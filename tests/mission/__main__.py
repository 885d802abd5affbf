"""`python -m tests.mission [--open]`: write docs/mission.md and tell what is open; with --open, only tell."""

import sys

from .table import PAGE, collect, marked_files, open_lines, write


def main() -> int:
    """The command."""
    shown = collect(marked_files())
    if "--open" not in sys.argv[1:]:
        PAGE.write_text(write(shown), encoding="utf-8")
    needed = open_lines(shown)
    for line, need in needed.items():
        print(f"{line}: {', '.join(need)}")
    print(f"{len(shown) - len(needed)} of {len(shown)} lines are shown")
    return 0


if __name__ == "__main__":
    sys.exit(main())
