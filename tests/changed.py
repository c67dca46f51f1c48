"""Options with others in some places."""

from typing import Any


def changed(options: Any, /, **places: Any) -> Any:
    """A copy, as `changed(experiment, source__n_train=20)` with 20 as `source.n_train`."""
    for place, value in places.items():
        name, _, rest = place.partition("__")
        if rest:
            value = changed(getattr(options, name), **{rest: value})
        options = options.model_copy(update={name: value})
    return options
