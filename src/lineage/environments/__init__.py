"""Pinned environments: what nodes ask for, what was resolved of it, and the interpreters made of that."""
