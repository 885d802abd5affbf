"""Handlers that run in child processes, for the tests of payload protection."""


def add_up(data: dict[str, int]) -> int:
    return data["a"] + data["b"]


def repeated(data: int) -> str:
    return "x" * data
