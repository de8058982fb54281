"""Between a CLIP and what training made of it: weights of both, averaged, and which share of each is best."""
