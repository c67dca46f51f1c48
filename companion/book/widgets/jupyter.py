"""The explorer in Jupyter: the page's own through anywidget, or one that asks the kernel."""

from collections.abc import Callable, Sequence

import anywidget
import ipywidgets
import matplotlib as mpl
import numpy as np
import traitlets

from companion.book.widgets.explorer import SCRIPTS, ExplorerItem, explorer_data
from companion.book.widgets.live import Live
from companion.book.widgets.page import asset, png


class _Explorer(anywidget.AnyWidget):
    _esm = "\n".join([*map(asset, SCRIPTS), "export default { render: renderExplorer };"])
    _css = asset("widget.css")
    data = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)


def explorer_widget(
    items: Sequence[ExplorerItem], live: Live | None = None, *, difference_limit: int = 100
) -> anywidget.AnyWidget:
    """The same for Jupyter; arguments and errors are those of `explorer_html`."""
    weights = live.weights if live else b""
    return _Explorer(data=explorer_data(items, live, difference_limit), weights=weights)


def explore(
    decode: Callable[[int, dict[str, str]], np.ndarray],
    items: Sequence[ExplorerItem],
    *,
    scanners: Sequence[str],
    sexes: Sequence[str] = (),
    difference_limit: int = 100,
    scale: int = 3,
) -> ipywidgets.Widget:
    """The explorer with the generator in the kernel, where it is too large for a page.

    Args:
        decode: (index of the item, do) to uint8 (H, W); called at every change. `do` holds
            'scanner', and 'sex' where `sexes` are offered.
        items: the patients on offer; their stored counterfactuals are not used, their truths are.
        scanners: target scanners on offer.
        sexes: target sexes on offer; none hides the choice.
        difference_limit: grey levels (of 255) at which the difference colours end.
        scale: whole factor by which images are enlarged.

    Returns:
        The widget, to be displayed.
    """
    names = [(f"{item.patient} ({item.label}, {item.scanner})", i) for i, item in enumerate(items)]
    patient = ipywidgets.Dropdown(options=names, description="Patient")
    scanner = ipywidgets.ToggleButtons(options=list(scanners), description="Scanner")
    sex = ipywidgets.ToggleButtons(options=list(sexes) or [""], description="Sex")
    titles = ("Real", "Counterfactual", "Counterfactual − real", "Truth", "Counterfactual − truth")
    images = {title: ipywidgets.Image(format="png") for title in titles}
    boxes = {t: ipywidgets.VBox([ipywidgets.Label(t), image]) for t, image in images.items()}

    def update(_: object = None) -> None:
        item = items[patient.value]
        do = {"scanner": scanner.value} | ({"sex": sex.value} if sexes else {})
        made = decode(patient.value, do)
        truth = item.truths.get((scanner.value, sex.value if sexes else item.sex))
        panels = {"Real": item.real, "Counterfactual": made}
        panels["Counterfactual − real"] = difference_image(made, item.real, difference_limit)
        if truth is not None:
            panels["Truth"] = truth
            panels["Counterfactual − truth"] = difference_image(made, truth, difference_limit)
        for title, image in images.items():
            boxes[title].layout.display = "" if title in panels else "none"
            if title in panels:
                image.value = png(panels[title].repeat(scale, axis=0).repeat(scale, axis=1))

    for control in (patient, scanner, sex):
        control.observe(update, names="value")
    update()
    controls = [patient, scanner, sex] if sexes else [patient, scanner]
    wrap = ipywidgets.Layout(flex_flow="row wrap")
    return ipywidgets.VBox([*controls, ipywidgets.Box(list(boxes.values()), layout=wrap)])


def difference_image(after: np.ndarray, before: np.ndarray, limit: int = 100) -> np.ndarray:
    """Signed difference in diverging colours: blue darker, white unchanged, red brighter.

    Args:
        after: uint8 (H, W).
        before: uint8 (H, W).
        limit: grey levels at which the colours end.

    Returns:
        uint8 (H, W, 3).
    """
    signed = after.astype(np.float64) - before.astype(np.float64)
    colours = mpl.colormaps["RdBu_r"](np.clip(signed / limit, -1, 1) / 2 + 0.5)
    return np.round(255 * colours[..., :3]).astype(np.uint8)
