"""Losses as pure functions, one file each."""

from ccl.losses.centering import centred_softmax, sinkhorn_knopp
from ccl.losses.dino import dino
from ccl.losses.ibot import ibot
from ccl.losses.koleo import koleo
from ccl.losses.nt_xent import nt_xent

__all__ = ["centred_softmax", "dino", "ibot", "koleo", "nt_xent", "sinkhorn_knopp"]
