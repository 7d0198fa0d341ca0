"""Cells in and out: images, channels, wells, crops, degraded and simulated cells."""
