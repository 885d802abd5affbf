"""Cluster slots: which of the 16,384 a key belongs to. All keys of a handle are in one, so one node serves them."""

from binascii import crc_hqx

SLOTS = 16_384


def tag(key: str) -> str:
    """The part of a key that decides its slot: what stands in its first braces, or all of it."""
    start = key.find("{")
    end = key.find("}", start + 1)
    return key[start + 1 : end] if start >= 0 and end > start + 1 else key


def has_tag(prefix: str) -> bool:
    """Whether every key under this prefix is in the same slot."""
    return tag(prefix) != prefix


def slot_of(key: str) -> int:
    """The slot of a key. crc_hqx is the CRC-16/XMODEM that clusters count with."""
    return crc_hqx(tag(key).encode(), 0) % SLOTS
