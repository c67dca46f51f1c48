"""Losses as pure functions, one file each."""

from ccl.losses.nt_xent import nt_xent

__all__ = ["nt_xent"]
