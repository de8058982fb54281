"""What the mined regions nearest to a region say of its class, fused with what CLIP says.

As retrieval does it that helps a frozen CLIP (k nearest neighbours that vote by a softmax of their similarities, and a
mixture with the zero-shot classifier), with the votes of nouns instead of labels:

    a_j = exp(τ·s_j) / Σ_i exp(τ·s_i)             over the K neighbours j, s_j their cosine similarity
    v_c = Σ_j a_j · [s_j ≥ s_min] · A(noun_j, c)   A: how a noun's vote is shared among classes (`classes.py`)
    m   = Σ_{c known} p_c                          p is CLIP's softmax; known: the bank has a noun that votes for c
    b_c = m·v_c + (1 − Σ_c' v_c') · p_c            of a known class; votes that nobody used are CLIP's
    b_c = p_c                                      of any other class
    f_c = (1 − w)·p_c + w·b_c                      w = `segmentation.bank.weight`

So f sums to 1. A region that is like no mined region keeps p, and so does one whose neighbours' nouns are none of the
classes. A class that no caption named keeps what CLIP gives it: that nobody votes for it says nothing against it.

Shape suffixes: V regions, K neighbours, C classes and then background names, M nouns.
"""

import numpy as np

from pipeline.bank.config import BankConfig
from pipeline.bank.search import Neighbours

_LEAST = -1e3
"""Stands for the logarithm of 0."""


def votes(neighbours: Neighbours, assigned_VKC: np.ndarray, config: BankConfig) -> np.ndarray:
    """The classes that neighbours vote for, float64 [V,C]; rows sum to at most 1.

    Args:
        assigned_VKC: A of the noun of each neighbour; anything where there is none.
    """
    similarities_VK = neighbours.similarities.astype(np.float64)
    there_VK = neighbours.rows >= 0
    logits_VK = np.where(there_VK, config.temperature * similarities_VK, -np.inf)
    highest_V1 = np.max(logits_VK, axis=1, keepdims=True, initial=-np.inf)
    shares_VK = np.exp(logits_VK - np.where(np.isfinite(highest_V1), highest_V1, 0))
    shares_VK /= np.maximum(shares_VK.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    shares_VK[~there_VK | (similarities_VK < config.min_similarity)] = 0
    return np.einsum("vk,vkc->vc", shares_VK, np.where(there_VK[..., None], assigned_VKC, 0))


def fused_logits(region_logits_VC: np.ndarray, votes_VC: np.ndarray, known_C: np.ndarray, weight: float) -> np.ndarray:
    """Logarithms of f, float32 [V,C]: logits whose softmax is f.

    Args:
        region_logits_VC: CLIP's, float32.
        known_C: bool, the classes that some noun of the bank votes for; the others have no votes.
        weight: w, 0..1.
    """
    logits_VC = region_logits_VC.astype(np.float64)
    log_p_VC = logits_VC - np.logaddexp.reduce(logits_VC, axis=1, keepdims=True)
    log_m_V1 = np.logaddexp.reduce(log_p_VC[:, known_C], axis=1, keepdims=True, initial=-np.inf)
    used_V1 = np.clip(votes_VC.sum(axis=1, keepdims=True), 0, 1)
    with np.errstate(divide="ignore"):
        # Of a known class: (1 − w)·p + w·b = (1 − w·Σv)·p + w·m·v
        log_kept_VC = np.where(known_C, np.log1p(-weight * used_V1), 0) + log_p_VC
        log_votes_VC = np.log(weight * votes_VC) + log_m_V1
    return np.maximum(np.logaddexp(log_kept_VC, log_votes_VC), _LEAST).astype(np.float32)
