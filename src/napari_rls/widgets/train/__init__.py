"""The dock *Train a bundle*."""
