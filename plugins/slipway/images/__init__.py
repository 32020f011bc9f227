"""Rules about images: what they are made from, what they must be, what may be known to be wrong with them."""
