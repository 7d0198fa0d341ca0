"""Jobs from images to results: reading, cutting, super-resolving, writing, with provenance."""
