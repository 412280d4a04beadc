"""Writes the large nets of ``models/``, which are too repetitive to keep by hand."""
