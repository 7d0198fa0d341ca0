"""Images of cells in, a table of measurements out."""
