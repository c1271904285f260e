"""Requests, responses and bodies: encode, replay, read, decode, verify.

May import: `_diagnostics`, `_display`, `_core`. Nothing here opens a connection.
"""
