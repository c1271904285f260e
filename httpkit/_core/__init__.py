"""URLs, header fields, models, masking and other basics: nothing is sent from here.

May import: the standard library, requests and, for models, msgspec; no other folder of httpkit.
Every folder above uses it.
"""
