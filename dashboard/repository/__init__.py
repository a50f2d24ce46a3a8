"""The business's data in the business's words: one module for each aggregate, frozen dataclasses out.

Nothing here knows of requests or pages; nothing above here knows of keys or the Redis client.
"""
