"""``protonet study``: what a lecture on learning in neural networks claims, as experiments.

One file for each study, discovered like layers. A study trains small nets on bundled data, draws
a figure, and computes its finding from what it measured: when the data does not support the claim,
the finding says so.
"""
