"""The dock *Super-resolve a field*."""
