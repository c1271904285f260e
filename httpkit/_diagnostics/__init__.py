"""Errors, log records and progress: also error messages of servers, and argument checks.

May import: `_core` and, when a card is requested, `_display`.
Every folder above raises and logs with it.
"""
