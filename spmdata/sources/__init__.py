"""Annotation files to Samples: one module a data set."""
