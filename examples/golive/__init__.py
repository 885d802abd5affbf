"""GoLive: the background jobs of a platform that builds, tests and deploys."""
