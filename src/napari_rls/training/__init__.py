"""Training of the parts of a bundle."""
