"""Which releases of Redis and Valkey let whoever may run scripts break out of them.

Source: the advisories of October 2025 to CVE-2025-49844 and its kin, which name the first mended release of each
branch. A branch that they do not name (Debian's 7.0, mended by Debian) is not judged.
"""

from collections.abc import Mapping

from corral.storage.vital import Vital

Version = tuple[int, int]

_MENDED: Mapping[str, Mapping[Version, int]] = {
    "Redis": {(6, 2): 20, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "Valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}


def judged(kind: str, version: str) -> Vital:
    """A server's version, and the one to update to where it has a known hole.

    Args:
        kind: `Redis` or `Valkey`.
        version: as INFO tells it: `7.2.10`.
    """
    major, minor, patch = [*(int(part) if part.isdigit() else 0 for part in version.split(".")), 0, 0, 0][:3]
    mended = _MENDED[kind].get((major, minor), 0)
    fix = ""
    if patch < mended:
        fix = f"update it to {major}.{minor}.{mended}, unless its packager has mended CVE-2025-49844 in it"
    return Vital("server", f"{kind} {version}", fix)
