"""Tests of the write model."""
