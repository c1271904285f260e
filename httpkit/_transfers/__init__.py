"""Downloads and uploads: of any size, resumable, verified.

May import: the folders below it, but no connection: it is given a function that sends a request.
"""
