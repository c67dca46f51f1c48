"""What a file may hold to run code where it is unpickled."""

import os
from pathlib import Path


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.witness), 0o700)
