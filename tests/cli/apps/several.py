"""A module with two applications and something else."""

from corral import Corral

first = Corral(name="first")
second = Corral(name="second")
number = 7
