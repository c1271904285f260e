"""One call from settings to dispatch: `Session` and the steps of its `request` and `send`.

May import: every folder below it. `session` is where to begin reading.
"""
