"""A module whose own code fails."""

settings: dict[str, str] = {}
url = settings["url"]
