"""Facts about HTTP, URLs, text and values, and the process; nothing is sent from here.

May import: the standard library, requests and, for models, msgspec; no other folder of httpkit.
Every folder above uses it.
"""
