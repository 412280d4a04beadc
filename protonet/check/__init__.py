"""``protonet check``: what is wrong with a net before anyone waits for it to train.

``rules.py`` knows the classic mistakes, ``data.py`` looks at records and labels, ``gradients.py``
holds each layer's backward against differences; ``checks.py`` runs them in order.
"""
