"""Layers of cells: which are the LR and GT cells, and those of results."""
