"""Rules for auth, retries, redirects, limits and status dispatch: frozen values.

May import: `_messages` and the folders below it. No I/O: the client carries decisions out.
"""
