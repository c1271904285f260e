"""A real HTTP server on the loopback interface, for tests, tutorials and notebooks.

Standard library only: it imports nothing of httpkit, which it judges.
`server` is where to begin reading.
"""
