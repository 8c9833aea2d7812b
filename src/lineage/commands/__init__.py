"""The `lineage` command: composing functions run from a terminal, and questions about what was made.

Exit codes: 0 done; 1 something failed, or what was asked for can't be done; 2 the command line is wrong; 130 and 143
interrupted or ended from outside.
"""
