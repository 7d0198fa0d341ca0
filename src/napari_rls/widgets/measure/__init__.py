"""The docks *Measure cells* and *Plots of measurements*."""
