"""A module without an application."""

number = 7
