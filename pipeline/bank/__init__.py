"""Mined regions as a bank: segmentation asks the nearest ones, so that CLIP is adapted without training."""
