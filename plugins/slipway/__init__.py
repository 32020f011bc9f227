"""slipway carries a release to 100 % of the traffic, or takes it back. Importing this imports nothing else."""
