"""The session, and the steps of a call: from its settings to status dispatch.

May import: every folder below it. `session` is where to begin reading.
"""
