"""LR cells in, SR cells with their record out."""
