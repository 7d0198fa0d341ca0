"""Files as such: JSON and CSV of others, files that are written whole, places of results."""
