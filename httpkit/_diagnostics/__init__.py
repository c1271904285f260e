"""What people are told: typed errors, the server's words, log records, progress, argument checks.

May import: `_core` and, when a card is asked for, `_display`.
Every folder above raises and logs with it.
"""
