"""Numba kernels that more than one layer uses, and the machinery to compile and run them."""
