"""What an SDK is written in: resources, pages, forms, GraphQL, many calls at once.

May import: the folders below it. It sends through the session that it is given.
"""
