"""TeamSpark: the background jobs of a platform where teams check in, give kudos and read reports."""
