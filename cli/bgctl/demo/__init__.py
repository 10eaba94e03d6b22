"""The demo's parts: backends, an honest load client, real processes, and the story they tell.

Nothing here is needed by bgctl's other commands. The tests and the bench use the same parts.
"""
