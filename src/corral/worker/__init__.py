"""The worker: claims jobs, runs their handlers, hands in the verdicts."""
