"""Decisions as frozen values: sign, retry, limit, follow a redirect, dispatch a status.

May import: `_messages` and the folders below it. No I/O: the client carries decisions out.
"""
