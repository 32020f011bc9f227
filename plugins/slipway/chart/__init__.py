"""What a rendered chart holds, and what differs between two renderings. Pure."""
