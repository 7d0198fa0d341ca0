"""Simulated cells whose truth is known exactly; never real images, and called simulated."""
