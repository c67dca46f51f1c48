// Maps of test images: pointing at one shows it in all, and what a brush or a number of neighbours
// selects is counted and shown.

const SIDE = 100; // units of a map's side
const REACH = 6; // units within which a pointer finds an image
const SHOWN = 48; // images of a selection that are shown

function renderProjection({ model, el }) {
  const { width, height, columns, facts, colourings, ...data } = model.get("data");
  const sprite = Object.assign(new Image(), { src: data.sprite });
  const now = { image: 0, map: 0, neighbours: 0 };
  const { parts, part } = partsOf();

  const maps = data.maps.map(({ title, places }) => {
    const circles = places.map(([cx, cy]) => drawn("circle", { cx, cy, r: 1.1 }));
    const brush = drawn("rect", { class: "ccl-brush", width: 0, height: 0 });
    const label = `Map of ${title}; the same by keyboard with the controls below`;
    const svg = drawn("svg", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": label },
      ...circles, brush);
    return { title, places, circles, brush, svg };
  });

  function thumbnail(canvas, index, x = 0, y = 0) {
    canvas.getContext("2d").drawImage(
      sprite, (index % columns) * width, Math.floor(index / columns) * height, width, height,
      x, y, width, height);
  }

  // -- one image ---------------------------------------------------------------------------------

  function show(index) {
    now.image = index;
    for (const { svg, circles, brush } of maps) {
      const before = svg.querySelector(".ccl-now");
      before?.classList.remove("ccl-now");
      before?.setAttribute("r", 1.1);
      circles[index].classList.add("ccl-now");
      circles[index].setAttribute("r", 3);
      svg.insertBefore(circles[index], brush); // above the others
    }
    thumbnail(parts.image, index);
    parts.says.textContent = facts[index];
    parts.image.setAttribute("aria-label", facts[index]);
    parts.slider.value = String(index);
  }

  function nearest({ places }, x, y, count = 1) {
    return places.map(([cx, cy], index) => ({ index, off: Math.hypot(cx - x, cy - y) }))
      .sort((a, b) => a.off - b.off).slice(0, count);
  }

  // -- a selection -------------------------------------------------------------------------------

  function counted(indices) {
    return Object.entries(colourings).map(([by, { names, codes }]) => {
      const counts = names.map((name, k) => [name, indices.filter((i) => codes[i] === k).length]);
      const found = counts.filter(([, n]) => n).sort((a, b) => b[1] - a[1]);
      return `${by} ${found.map(([name, n]) => `${name} ${n}`).join(", ")}`;
    });
  }

  function select(indices, where) {
    const chosen = new Set(indices);
    el.classList.toggle("ccl-selecting", chosen.size > 0);
    for (const { circles } of maps) {
      circles.forEach((circle, i) => circle.classList.toggle("ccl-chosen", chosen.has(i)));
    }
    parts.clear.disabled = !chosen.size;
    parts.chosen.hidden = !chosen.size;
    parts.counts.textContent = chosen.size
      ? `${chosen.size} images ${where}: ${counted(indices).join("; ")}.` : "";
    const some = indices.slice(0, SHOWN);
    const across = Math.max(1, Math.min(some.length, 12));
    Object.assign(parts.chosen, {
      width: across * width, height: Math.ceil(some.length / across) * height,
    });
    some.forEach((index, k) => thumbnail(
      parts.chosen, index, (k % across) * width, Math.floor(k / across) * height));
    const more = indices.length > SHOWN ? `; the first ${SHOWN} are shown` : "";
    parts.chosen.setAttribute("aria-label", `Images of the selection${more}`);
  }

  function selectNeighbours() {
    const map = maps[now.map];
    if (!now.neighbours) return clear();
    const found = nearest(map, ...map.places[now.image], now.neighbours + 1).map((n) => n.index);
    select(found, `nearest in the map of ${map.title}, with itself`);
  }

  function clear() {
    now.neighbours = 0;
    moveTo(parts.neighbours, 0);
    for (const { brush } of maps) Object.entries({ width: 0, height: 0 }).forEach(
      ([name, value]) => brush.setAttribute(name, value));
    select([], "");
  }

  function listen(map) {
    let from = null;
    const at = (event) => {
      const box = map.svg.getBoundingClientRect();
      return [(event.clientX - box.left) * SIDE / box.width,
        (event.clientY - box.top) * SIDE / box.height];
    };
    map.svg.addEventListener("pointerdown", (event) => {
      from = at(event);
      map.svg.setPointerCapture(event.pointerId);
      point(map, from);
    });
    map.svg.addEventListener("pointermove", (event) => {
      if (from) brush(map, from, at(event));
      else point(map, at(event));
    });
    for (const end of ["pointerup", "pointercancel"]) {
      map.svg.addEventListener(end, () => { from = null; });
    }
  }

  function point(map, [x, y]) {
    const [found] = nearest(map, x, y);
    if (found.off < REACH) show(found.index);
  }

  function brush(map, [x, y], [u, v]) {
    if (Math.hypot(u - x, v - y) < 2) return;
    const [left, right] = [Math.min(x, u), Math.max(x, u)];
    const [top, bottom] = [Math.min(y, v), Math.max(y, v)];
    clear();
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    for (const [name, value] of Object.entries(box)) map.brush.setAttribute(name, value);
    const inside = map.places.flatMap(([cx, cy], i) => (
      cx >= left && cx <= right && cy >= top && cy <= bottom ? [i] : []));
    select(inside, `selected in the map of ${map.title}`);
  }

  // -- how it is laid out ------------------------------------------------------------------------

  function colour(by) {
    const { names, codes, colours } = colourings[by];
    for (const { circles } of maps) {
      circles.forEach((circle, index) => circle.setAttribute("fill", colours[codes[index]]));
    }
    parts.key.replaceChildren(...names.map((name, k) => {
      const dot = element("i");
      dot.style.background = colours[k];
      return element("span", {}, dot, name);
    }));
    for (const each of parts.by.children) {
      each.setAttribute("aria-pressed", String(each.value === by));
    }
  }

  function build() {
    const images = range("slider", {
      min: 0, max: facts.length - 1, step: 1, value: 0, say: () => "",
    }, (index) => { show(index); if (now.neighbours) selectNeighbours(); });
    const neighbours = range("neighbours", { min: 0, max: 40, step: 1, value: 0 }, (n) => {
      now.neighbours = n;
      selectNeighbours();
    });
    part("slider", images.input).setAttribute("aria-label", "Image");
    part("neighbours", neighbours.input).setAttribute("aria-label", "Select its nearest neighbours");
    const where = part("where", element("select", { "aria-label": "Neighbours in the map of" },
      ...maps.map(({ title }, k) => element("option", { value: String(k), textContent: title }))));
    where.addEventListener("change", () => { now.map = Number(where.value); selectNeighbours(); });
    el.append(
      element("fieldset", {}, element("legend", { textContent: "Colour" }),
        part("by", element("div", { className: "ccl-row" }, ...Object.keys(colourings).map((by) =>
          button(by, () => colour(by), { value: by }))))),
      part("key", element("div", { className: "ccl-row" })),
      part("maps", element("div", { className: "ccl-maps" }, ...maps.map(({ title, svg }) =>
        element("figure", {}, element("figcaption", { textContent: title }), svg)))),
      element("div", { className: "ccl-seen" },
        part("image", element("canvas", { width, height, role: "img" })),
        element("div", {}, part("says", element("p", { "aria-live": "polite" })), images.input)),
      element("p", { className: "ccl-note", textContent:
        "Point at an image, or drag over some of them to select them in every map." }),
      element("div", { className: "ccl-knob" },
        element("span", {}, "Select its nearest neighbours in ", where), neighbours.output,
        neighbours.input),
      part("counts", element("p", { "aria-live": "polite" })),
      part("chosen", element("canvas", { role: "img", hidden: true })),
      part("clear", button("Clear the selection", clear, { disabled: true })));
    maps.forEach(listen);
    colour(Object.keys(colourings)[0]);
    show(0);
  }

  return sprite.decode().then(build).catch((error) => {
    el.append(element("p", { textContent: `The maps could not be shown: ${error.message}` }));
    throw error;
  });
}
