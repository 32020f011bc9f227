"""What an Argo Rollout says of itself, read without a client. Pure."""
