"""Reproduces the paper with `ccl`: cohorts, experiments, judging, claims, book."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
