"""The demo: the platform at work on a file, with everything that happens shown while it happens."""
