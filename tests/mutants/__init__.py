"""Faults that somebody could put into the service by a slip, each with the tests that have to notice."""
