"""Files of any size: resumable, verified downloads and uploads.

May import: the folders below it, but no connection: it is given a function that sends a request.
"""
