"""Composition: chains, trees and graphs of jobs, added in one step, looked at and steered as a whole."""
