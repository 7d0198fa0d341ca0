"""Cells in images: nuclei and what is measured around them."""
