"""Resources, pagination, GraphQL and concurrency: what an SDK is written with.

May import: the folders below it. It sends through the session that it is given.
"""
