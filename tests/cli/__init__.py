"""The command line: pure commands in this process, workers in real ones."""
