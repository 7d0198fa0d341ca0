"""The dock *Super-resolve cells*."""
