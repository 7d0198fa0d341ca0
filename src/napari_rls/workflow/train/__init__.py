"""Fields in, a bundle out."""
