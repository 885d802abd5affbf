"""Alerts: what wants attention, told to hooks and alert jobs when it begins, gets worse, lasts and ends."""
