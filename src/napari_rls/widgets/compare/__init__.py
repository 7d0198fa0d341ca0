"""The dock *Compare methods*."""
