"""Whether a bundle can be trusted on a user's own cells: their truth is known, and compared."""
