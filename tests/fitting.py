"""Training whose history is a table."""

from typing import Any

import pandas as pd

from ccl import trainer


def fit(*arguments: Any, **options: Any) -> pd.DataFrame:
    """`ccl.trainer.fit`, a row of metrics per epoch."""
    return pd.DataFrame(trainer.fit(*arguments, **options))
