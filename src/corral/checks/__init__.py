"""The doctor: why jobs do not run, and what to do about it. Facts are gathered, then judged by pure rules."""
