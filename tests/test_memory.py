"""The peak of a part of a process's life."""

import numpy as np

from companion.engine.memory import MemoryMeter, lifetime_peak

MIB = 2**20


def test_a_part_does_not_answer_for_what_was_before_it():
    np.ones(256 * MIB, np.uint8)  # freed again
    meter = MemoryMeter()
    assert meter.peak() < lifetime_peak() - 128 * MIB


def test_a_part_answers_for_what_it_freed_again():
    before, meter = lifetime_peak(), MemoryMeter()
    np.ones(before + 64 * MIB, np.uint8)
    assert meter.peak() > before + 32 * MIB
