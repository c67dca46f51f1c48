// A lecture as slides: with ?slides, a page shows its own blocks, as many at a time as fit the window.
document.addEventListener("DOMContentLoaded", () => {
  if (location.search !== "?slides") return;
  const blocks = blocksOf(document.querySelector(".bd-article section"));
  const number = document.createElement("output");
  let slides = [], now = 0;

  function show(slide) {
    now = Math.max(0, Math.min(slide, slides.length - 1));
    for (const block of blocks) block.toggleAttribute("hidden", !slides[now].includes(block));
    number.textContent = `${now + 1} / ${slides.length}`;
    scrollTo(0, 0);
  }

  function pack() {
    const first = slides[now]?.[0] ?? blocks[0];
    for (const block of blocks) block.removeAttribute("hidden");
    slides = packed(blocks, innerHeight - 110);
    show(slides.findIndex((slide) => slide.includes(first)));
  }

  const leave = () => location.assign(location.pathname);
  const keys = {
    ArrowRight: () => show(now + 1), PageDown: () => show(now + 1), " ": () => show(now + 1),
    ArrowLeft: () => show(now - 1), PageUp: () => show(now - 1),
    Home: () => show(0), End: () => show(slides.length - 1), Escape: leave,
  };
  document.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.target.closest("button, summary, input, a")) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.body.classList.add("ccl-slides");
  document.body.append(controls(number, [
    ["‹", "Slide before", keys.ArrowLeft], ["›", "Next slide", keys.ArrowRight],
    ["×", "Leave the slides", leave],
  ]));
  addEventListener("load", () => { pack(); window.MathJax?.startup?.promise?.then(pack); });
  addEventListener("resize", pack);
});

// What a page consists of, section by section, in order.
function blocksOf(section) {
  return [...section.children].flatMap((each) =>
    each.tagName === "SECTION" ? blocksOf(each) : [each]);
}

// A heading starts a slide, and what has no room left on one; what is too tall for any is scrolled.
function packed(blocks, room) {
  const slides = [];
  let left = 0;
  for (const block of blocks) {
    const isHeading = /^H[1-6]$/.test(block.tagName);
    const { marginTop, marginBottom } = getComputedStyle(block);
    const height = block.getBoundingClientRect().height + parseFloat(marginTop) + parseFloat(marginBottom);
    const alone = slides.at(-1)?.every((each) => /^H[1-6]$/.test(each.tagName));
    if (!slides.length || isHeading || (height > left && !alone)) {
      slides.push([]);
      left = room;
    }
    slides.at(-1).push(block);
    left -= height;
  }
  return slides;
}

function controls(number, buttons) {
  const bar = document.createElement("nav");
  bar.className = "ccl-slide-controls";
  bar.setAttribute("aria-label", "Slides");
  bar.append(...buttons.map(([textContent, title, act]) => {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent, title });
    made.setAttribute("aria-label", title);
    made.addEventListener("click", act);
    return made;
  }));
  number.setAttribute("aria-live", "polite");
  bar.insertBefore(number, bar.children[1]);
  return bar;
}
