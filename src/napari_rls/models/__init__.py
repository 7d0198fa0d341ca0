"""Model bundles: the generator, the flow over its latent space, and their file."""
