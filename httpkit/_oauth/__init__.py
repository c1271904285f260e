"""OAuth 2.0: strategies that are clients themselves, and their token cache.

May import: `_client` and the folders below it; nothing but `httpkit/__init__.py` imports it.
"""
