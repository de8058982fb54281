"""Which mined pairs are right: labels of people, precision with an interval, and the probability of every pair."""
