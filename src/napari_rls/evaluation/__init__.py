"""How good a bundle and a search are."""
