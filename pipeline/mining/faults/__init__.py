"""What mining does about images that kill or block their worker, and about shards that fail."""
