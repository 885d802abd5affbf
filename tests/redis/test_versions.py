"""Releases with a known hole are named with the one to update to; the others are only named."""

import pytest

from corral.storage.redis.versions import judged


@pytest.mark.parametrize(
    ("kind", "version", "mended"),
    [
        ("Redis", "6.2.19", "6.2.20"),
        ("Redis", "7.2.10", "7.2.11"),
        ("Redis", "7.4.5", "7.4.6"),
        ("Redis", "8.0.3", "8.0.4"),
        ("Redis", "8.2.1", "8.2.2"),
        ("Valkey", "7.2.10", "7.2.11"),
        ("Valkey", "8.0.5", "8.0.6"),
        ("Valkey", "8.1.3", "8.1.4"),
    ],
)
def test_a_release_with_a_hole_is_to_be_updated(kind: str, version: str, mended: str) -> None:
    found = judged(kind, version)
    assert found.text == f"{kind} {version}"
    assert f"update it to {mended}," in found.fix
    assert not found.grave
    assert judged(kind, mended).fix == ""


@pytest.mark.parametrize("version", ["7.0.15", "8.4.0", "9.0.0", "next", ""])
def test_what_no_advisory_names_is_not_judged(version: str) -> None:
    assert judged("Redis", version).fix == ""
