"""Lineage as tables: what ran, what was made, what of what; why, and what differs.

Every function takes a session and returns polars frames or plain records. `lineage.runs()` and its siblings ask the current
session. Edges join executions, never bare digests: two calls may give one digest.
"""
