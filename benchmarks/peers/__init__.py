"""Drivers: one program per peer, each run by the interpreter of that peer's own environment."""
