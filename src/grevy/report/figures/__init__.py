"""Pictures of an embedding: arrays in, a matplotlib `Figure` out; no files, no global state.

The names of labels and classes are plain text, never mathematics or markup.
"""
