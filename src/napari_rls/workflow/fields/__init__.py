"""Whole LR fields: their cells found, super-resolved in their places, and measured."""
