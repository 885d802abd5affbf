"""Tests of the handlers that run commands."""
