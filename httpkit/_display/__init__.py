"""HTML for notebooks: cards of responses, errors, sessions, pages and downloads.

May import: `_core`. The folders above call `cards` on demand, when a notebook asks for a card.
"""
