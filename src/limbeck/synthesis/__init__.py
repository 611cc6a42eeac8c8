"""Samples that nobody took: what a generator, or the pixels themselves, learn from a teacher alone.

One file a term, one a way to make samples, and `synthesise`, which fills a pool with them.
"""
