"""GoLive's claims, by their numbers in its checklist."""
