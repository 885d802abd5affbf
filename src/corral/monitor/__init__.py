"""What is going on: one read model for the API, the dashboard, the command line and the metrics.

Every answer is a frozen struct with plain fields, ready for JSON: instants are epoch milliseconds, durations too
(`*_ms`), and each says how much it looked at. `corral.monitor.monitor.Monitor` is the way in.
"""
