"""Images and their table on disk, whatever their source."""

from ccl.cohorts.cohort import Cohort, load

__all__ = ["Cohort", "load"]
