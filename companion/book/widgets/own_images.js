// One's own images in the explorer: an opacity painted on a patient, or a file. Nothing leaves the page.

const PAINTED = "with what you painted";
const NOTE = "Nothing leaves this machine. On the real image: paint with a pointer, or move the "
  + "ring with the arrow keys and paint with the space bar. A file is cut to the frame and made "
  + "as small as the images here. The generator has learned from this cohort alone; what is "
  + "unlike it is carried over badly, and that can be seen.";

// `subject()` is what is looked at, `edit` changes it, `back` undoes that.
function ownImages({
  el, part, parts, width, height, scanners, subject, parents, edit, refresh, back,
}) {
  let painting = false;
  let ring = () => {};

  function paint(on) {
    painting = on;
    parts.paint.setAttribute("aria-pressed", String(on));
    ring(on);
  }

  function paintAt(x, y) {
    const grey = Uint8Array.from(subject().grey);
    paintOpacity(grey, width, height, x, y, Number(parts.strength.value));
    edit({ grey }, PAINTED);
  }

  async function open(image) {
    try {
      const scanner = parts.from.value;
      edit({
        grey: fitted(await readPicture(image), width, height), words: "your image",
        patient: "Your image", label: "no label", scanner, parents: { ...parents(), scanner },
        counterfactuals: {},
      });
      refresh();
    } catch (error) {
      parts.says.textContent = `${image.name} could not be read: ${error.message}.`;
    }
  }

  const file = element("input", { type: "file", accept: "image/png,image/jpeg" });
  const opened = () => file.files[0] && open(file.files[0]);
  file.addEventListener("change", opened);
  const controls = element("details", { className: "ccl-more" },
    element("summary", { textContent: "Draw your own" }),
    element("div", { className: "ccl-row" },
      part("paint", button("Paint an opacity", () => paint(!painting), { "aria-pressed": "false" })),
      button("Take it back", back)),
    knob(part, "strength", "Strength of the brush",
      { min: 5, max: 60, step: 5, value: 25, say: (v) => `${v} grey levels` }, () => {}),
    element("label", {}, "Image file (PNG, JPEG; or drop it on the explorer) ", file),
    select(part, "from", "It was taken with", scanners.map((s) => [s, s]), opened),
    element("p", { className: "ccl-note", textContent: NOTE }));

  // The panel of the real image is painted on; files are dropped anywhere.
  function listen({ frame, canvas }) {
    frame.classList.add("ccl-stack");
    ring = paintable(frame, canvas, () => painting, paintAt);
    el.addEventListener("dragover", (event) => event.preventDefault());
    el.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
    });
  }

  return { controls, paint, listen };
}
