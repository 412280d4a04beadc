"""Diagrams of nets: plan → diagram → layout → scene → SVG, PNG, PDF, HTML; or words.

The way in is :func:`protonet.draw`.
"""
